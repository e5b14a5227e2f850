package peers;

import java.time.Instant;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.internals.AppInfoParser;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.Stores;

/**
 * A running count for each key in Kafka Streams, by its test driver: one thread, no broker, no changelog, the store in memory. Records still
 * become bytes and records again, as they would on their way through a topic. An upper bound of what its operators can do.
 */
public final class KafkaStreamsCount {
  private KafkaStreamsCount() {}

  public static void main(String[] args) {
    Settings settings = Settings.parse(args);
    Tally tally = new Tally(settings.warmUp());
    Serde<Object> keys = keySerde(settings);
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream("readings", Consumed.with(keys, Serdes.Integer()))
        .groupByKey(Grouped.with(keys, Serdes.Integer()))
        .count(
            Materialized.<Object, Long>as(Stores.inMemoryKeyValueStore("counts"))
                .withKeySerde(keys)
                .withLoggingDisabled()
                .withCachingDisabled())
        .toStream()
        .foreach((key, count) -> tally.add(count));

    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "keyed-count");
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:9092");
    properties.put(StreamsConfig.STATE_DIR_CONFIG, settings.folder());
    Readings readings = new Readings(settings);
    try (TopologyTestDriver driver = new TopologyTestDriver(builder.build(), properties, Instant.EPOCH)) {
      TestInputTopic<Object, Integer> topic =
          driver.createInputTopic("readings", keys.serializer(), Serdes.Integer().serializer());
      for (long i = 0; i < settings.records(); i++) {
        topic.pipeInput(readings.keyAt(i), readings.valueAt(i), readings.timeAt(i));
      }
    }
    Outcome.print(settings, List.of(tally.part(0)), "kafka-streams", AppInfoParser.getVersion());
  }

  @SuppressWarnings("unchecked")
  private static Serde<Object> keySerde(Settings settings) {
    return (Serde<Object>) (Serde<?>) (settings.strings() ? Serdes.String() : Serdes.Integer());
  }
}
