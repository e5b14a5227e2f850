package peers;

import java.io.Serializable;
import java.util.HashMap;
import java.util.Map;

/** The command line of a peer: the same flags as those of the peers in JavaScript. */
public record Settings(long records, long warmUp, int keys, boolean strings, String folder, String backend, boolean reuse)
    implements Serializable {

  public static Settings parse(String[] args) {
    Map<String, String> flags = new HashMap<>();
    for (int index = 0; index < args.length; index += 2) flags.put(args[index], args[index + 1]);
    return new Settings(
        Long.parseLong(flags.get("--records")),
        Long.parseLong(flags.get("--warm-up")),
        Integer.parseInt(flags.get("--keys")),
        flags.getOrDefault("--kind", "string").equals("string"),
        flags.get("--folder"),
        flags.getOrDefault("--backend", "hashmap"),
        flags.getOrDefault("--reuse", "on").equals("on"));
  }

  /** What the counts must add up to: every key has each of the counts 1, 2, ..., records / keys once. */
  public long countSum() {
    long perKey = records / keys;
    return keys * (perKey * (perKey + 1) / 2);
  }
}
