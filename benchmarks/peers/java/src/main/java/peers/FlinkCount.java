package peers;

import java.util.List;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.accumulators.ListAccumulator;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichFlatMapFunction;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/** A running count for each key in Apache Flink: a local cluster in this process, two slots, parallelism 2. */
public final class FlinkCount {
  private static final int PARALLELISM = 2;
  private static final String PARTS = "parts";

  private FlinkCount() {}

  public static void main(String[] args) throws Exception {
    Settings settings = Settings.parse(args);
    // Only what its types say travels: a tuple with the serialisers of its fields, the fastest of those that Flink brings along.
    TypeInformation<Object> keyType = keyType(settings);
    TypeInformation<Tuple3<Object, Integer, Long>> readingType = Types.TUPLE(keyType, Types.INT, Types.LONG);
    TypeInformation<Tuple2<Object, Integer>> countType = Types.TUPLE(keyType, Types.INT);

    StreamExecutionEnvironment environment =
        StreamExecutionEnvironment.createLocalEnvironment(PARALLELISM, configuration(settings));
    environment
        .fromSource(new FlinkReadings(settings, readingType), WatermarkStrategy.noWatermarks(), "readings")
        .keyBy(reading -> reading.f0, keyType)
        .process(new Count())
        .returns(countType)
        .flatMap(new Add(settings.warmUp() / PARALLELISM))
        .returns(Types.VOID)
        .sinkTo(new DiscardingSink<>());
    JobExecutionResult result = environment.execute("keyed count");
    List<Tally.Part> parts = result.getAccumulatorResult(PARTS);
    Outcome.print(settings, parts, "flink", EnvironmentInformation.getVersion());
  }

  @SuppressWarnings("unchecked")
  private static TypeInformation<Object> keyType(Settings settings) {
    return (TypeInformation<Object>) (TypeInformation<?>) (settings.strings() ? Types.STRING : Types.INT);
  }

  private static Configuration configuration(Settings settings) {
    Configuration configuration = new Configuration();
    configuration.setString("taskmanager.numberOfTaskSlots", String.valueOf(PARALLELISM));
    configuration.setString("pipeline.object-reuse", String.valueOf(settings.reuse()));
    configuration.setString("state.backend.type", settings.backend());
    configuration.setString("execution.checkpointing.interval", "10 s");
    configuration.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    configuration.setString("execution.checkpointing.incremental", "true");
    configuration.setString("execution.checkpointing.storage", "filesystem");
    configuration.setString("execution.checkpointing.dir", "file://" + settings.folder() + "/checkpoints");
    // The clock stops at the last result; without this the job would wait up to ten seconds more for the next checkpoint.
    configuration.setString("execution.checkpointing.checkpoints-after-tasks-finish", "false");
    // RocksDB gets its memory from here; the state of this job fits in many times over.
    configuration.setString("taskmanager.memory.managed.size", "1 gb");
    configuration.setString("io.tmp.dirs", settings.folder());
    configuration.setString("restart-strategy.type", "none");
    return configuration;
  }

  /** How many records each key has had; a result for each record. */
  private static final class Count
      extends KeyedProcessFunction<Object, Tuple3<Object, Integer, Long>, Tuple2<Object, Integer>> {
    private transient ValueState<Integer> count;

    @Override
    public void open(OpenContext context) {
      count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Types.INT));
    }

    @Override
    public void processElement(
        Tuple3<Object, Integer, Long> reading, Context context, Collector<Tuple2<Object, Integer>> out) throws Exception {
      Integer before = count.value();
      int now = before == null ? 1 : before + 1;
      count.update(now);
      out.collect(Tuple2.of(reading.f0, now));
    }
  }

  /** Adds the counts up. The totals leave through an accumulator when the input is at its end. */
  private static final class Add extends RichFlatMapFunction<Tuple2<Object, Integer>, Void> implements CheckpointListener {
    private final long startAt;
    private transient Tally tally;
    private transient long checkpoints;
    private transient ListAccumulator<Tally.Part> parts;

    Add(long startAt) {
      this.startAt = startAt;
    }

    @Override
    public void open(OpenContext context) {
      tally = new Tally(startAt);
      parts = new ListAccumulator<>();
      getRuntimeContext().addAccumulator(PARTS, parts);
    }

    @Override
    public void flatMap(Tuple2<Object, Integer> result, Collector<Void> out) {
      tally.add(result.f1);
    }

    @Override
    public void notifyCheckpointComplete(long checkpoint) {
      checkpoints++;
    }

    @Override
    public void close() {
      if (tally != null) parts.add(tally.part(checkpoints));
    }
  }
}
