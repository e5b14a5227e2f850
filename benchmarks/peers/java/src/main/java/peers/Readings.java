package peers;

import java.io.Serializable;

/** The records, the same as those of the peers in JavaScript: see {@code workload.ts}. */
public final class Readings implements Serializable {
  private static final long START_MS = 1_767_225_600_000L;
  private static final int STRIDE = 7919;

  private final int keyCount;
  private final boolean strings;
  /** Every process makes its own. */
  private transient Object[] keys;

  public Readings(Settings settings) {
    keyCount = settings.keys();
    strings = settings.strings();
  }

  /** A String of 11 characters or an Integer. */
  public Object keyAt(long i) {
    if (keys == null) keys = makeKeys();
    return keys[(int) (((i % keyCount) * STRIDE + i / keyCount) % keyCount)];
  }

  public int valueAt(long i) {
    return (int) (i % 1000);
  }

  public long timeAt(long i) {
    return START_MS + i;
  }

  private Object[] makeKeys() {
    Object[] made = new Object[keyCount];
    for (int index = 0; index < keyCount; index++) {
      made[index] = strings ? (Object) String.format("user-%06d", index) : (Object) (1_000_000 + index);
    }
    return made;
  }
}
