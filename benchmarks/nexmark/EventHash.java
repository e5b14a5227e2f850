import java.util.Random;

/**
 * The rules of Beam's Nexmark generator once more, with the random source and the mathematics of Java itself: a hash over all fields of the first
 * events of one generator, which test/benchmarks/nexmark-generator.test.ts compares.
 *
 * java benchmarks/nexmark/EventHash.java 100000 10000   (events, events a second)
 */
class EventHash {
  static final long BASE_MS = 1436918400000L;
  static final String[] FIRST = "Peter,Paul,Luke,John,Saul,Vicky,Kate,Julie,Sarah,Deiter,Walter".split(",");
  static final String[] LAST = "Shultz,Abrams,Spencer,White,Bartels,Walton,Smith,Jones,Noris".split(",");
  static final String[] CITIES =
      "Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne".split(",");
  static final String[] STATES = "AZ,CA,ID,OR,WA,WY".split(",");
  static long delayUs;

  public static void main(String[] args) {
    long events = Long.parseLong(args[0]);
    delayUs = Math.round(1e6 / Long.parseLong(args[1]));
    int hash = 1;
    for (long id = 0; id < events; id++) hash = 31 * hash + event(id).hashCode();
    System.out.println(hash);
  }

  static String event(long id) {
    Random random = new Random(id);
    long cycle = id / 50;
    long place = id % 50;
    if (place == 0) return person(cycle, timeOf(id), random);
    if (place < 4) return auction(cycle, place - 1, id, random);
    return bid(cycle, timeOf(id), random);
  }

  static String person(long id, long time, Random random) {
    String name = one(FIRST, random) + " " + one(LAST, random);
    String email = words(random, 7) + "@" + words(random, 5) + ".com";
    StringBuilder card = new StringBuilder();
    for (int i = 0; i < 4; i++) card.append(i == 0 ? "" : " ").append(String.format("%04d", random.nextInt(10000)));
    String city = one(CITIES, random);
    String state = one(STATES, random);
    int size = 8 + name.length() + email.length() + card.length() + city.length() + state.length();
    return row("person", 1000 + id, name, email, card, city, state, time, filler(random, size, 200));
  }

  static String auction(long lastPerson, long place, long number, Random random) {
    long time = timeOf(number);
    long seller = random.nextInt(4) > 0 ? hot(lastPerson) : anyPerson(lastPerson, random);
    int category = 10 + random.nextInt(5);
    long initialBid = price(random);
    long horizonMs = timeOf(number + 100 * 50 / 3) - time;
    long expires = time + 1 + random.nextInt((int) Math.max(2 * horizonMs, 1));
    String name = words(random, 20);
    String description = words(random, 100);
    long reserve = initialBid + price(random);
    String extra = filler(random, 48 + name.length() + description.length(), 500);
    long id = 1000 + 3 * lastPerson + place;
    return row("auction", id, name, description, initialBid, reserve, time, expires, 1000 + seller, category, extra);
  }

  static String bid(long lastPerson, long time, Random random) {
    long lastAuction = 3 * lastPerson + 2;
    long auction = random.nextInt(2) > 0 ? hot(lastAuction) : anyAuction(lastAuction, random);
    long bidder = random.nextInt(4) > 0 ? hot(lastPerson) + 1 : anyPerson(lastPerson, random);
    long price = price(random);
    return row("bid", 1000 + auction, 1000 + bidder, price, time, filler(random, 32, 100));
  }

  static long timeOf(long number) {
    return BASE_MS + number * delayUs / 1000;
  }

  static long hot(long last) {
    return last / 100 * 100;
  }

  static long anyPerson(long last, Random random) {
    long active = Math.min(last + 1, 1000);
    return last + 1 - active + random.nextInt((int) active + 10);
  }

  static long anyAuction(long last, Random random) {
    long least = Math.max(last - 100, 0);
    return least + random.nextInt((int) (last - least) + 1 + 10);
  }

  static long price(Random random) {
    return Math.round(Math.pow(10, random.nextDouble() * 6) * 100);
  }

  static String words(Random random, int maxLength) {
    int length = 3 + random.nextInt(maxLength - 3);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < length; i++) text.append(random.nextInt(13) == 0 ? ' ' : (char) ('a' + random.nextInt(26)));
    return text.toString().trim();
  }

  static String filler(Random random, int size, int averageSize) {
    int wanted = averageSize - size;
    int delta = (int) Math.round(wanted * 0.2);
    int length = wanted - delta + random.nextInt(2 * delta);
    StringBuilder text = new StringBuilder();
    int draw = 0;
    for (int i = 0; i < length; i++) {
      draw = i % 6 == 0 ? random.nextInt() : draw / 26;
      text.append((char) ('a' + draw % 26));
    }
    return text.toString();
  }

  static String one(String[] all, Random random) {
    return all[random.nextInt(all.length)];
  }

  static String row(Object... fields) {
    StringBuilder text = new StringBuilder();
    for (Object field : fields) text.append(text.length() == 0 ? "" : "|").append(field);
    return text.toString();
  }
}
