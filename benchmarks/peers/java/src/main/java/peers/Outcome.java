package peers;

import java.util.List;
import java.util.Locale;

/** Prints what the runner reads: one line of JSON. */
public final class Outcome {
  private Outcome() {}

  public static void print(Settings settings, List<Tally.Part> parts, String name, String version) {
    long results = parts.stream().mapToLong(Tally.Part::results).sum();
    long sum = parts.stream().mapToLong(Tally.Part::sum).sum();
    long timed = parts.stream().mapToLong(Tally.Part::timed).sum();
    long startedMs = parts.stream().mapToLong(Tally.Part::startedMs).min().orElse(0);
    long endedMs = parts.stream().mapToLong(Tally.Part::endedMs).max().orElse(0);
    double rate = parts.stream().mapToDouble(part -> 1000.0 * part.timed() / (endedMs - part.startedMs())).sum();
    double cpu =
        parts.stream().mapToDouble(Tally.Part::endedCpu).max().orElse(0)
            - parts.stream().mapToDouble(Tally.Part::startedCpu).average().orElse(0);
    long checkpoints = parts.stream().mapToLong(Tally.Part::checkpoints).max().orElse(0);
    boolean verified = results == settings.records() && sum == settings.countSum();
    System.out.printf(
        Locale.ROOT,
        "{\"results\":%d,\"sum\":%d,\"verified\":%b,\"recordsPerSecond\":%.1f,\"cpuSecondsPerMillion\":%.6f,"
            + "\"seconds\":%.3f,\"checkpoints\":%d,\"versions\":{\"java\":\"%s\",\"%s\":\"%s\"}}%n",
        results, sum, verified, rate, cpu / (timed / 1e6), (endedMs - startedMs) / 1000.0, checkpoints,
        System.getProperty("java.vm.version"), name, version);
  }
}
