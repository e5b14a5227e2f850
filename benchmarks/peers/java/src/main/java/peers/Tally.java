package peers;

import com.sun.management.OperatingSystemMXBean;
import java.io.Serializable;
import java.lang.management.ManagementFactory;

/** The sink of one thread, and its clock: see {@code tally.ts}, whose rules these are. */
public final class Tally {
  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  /** What one thread's sink saw. */
  public record Part(
      long results, long sum, long timed, long startedMs, double startedCpu, long endedMs, double endedCpu, long checkpoints)
      implements Serializable {}

  private final long startAt;
  private long results;
  private long sum;
  private long startedMs;
  private double startedCpu;

  /** @param startAt results before the clock starts */
  public Tally(long startAt) {
    this.startAt = startAt;
  }

  public void add(long count) {
    if (results == startAt) {
      startedMs = System.currentTimeMillis();
      startedCpu = cpuSeconds();
    }
    results++;
    sum += count;
  }

  public Part part(long checkpoints) {
    long timed = Math.max(0, results - startAt);
    return new Part(results, sum, timed, startedMs, startedCpu, System.currentTimeMillis(), cpuSeconds(), checkpoints);
  }

  private static double cpuSeconds() {
    return SYSTEM.getProcessCpuTime() / 1e9;
  }
}
