package peers;

import com.hazelcast.config.Config;
import com.hazelcast.core.Hazelcast;
import com.hazelcast.core.HazelcastInstance;
import com.hazelcast.instance.BuildInfoProvider;
import com.hazelcast.jet.aggregate.AggregateOperations;
import com.hazelcast.jet.config.JobConfig;
import com.hazelcast.jet.config.ProcessingGuarantee;
import com.hazelcast.jet.core.AbstractProcessor;
import com.hazelcast.jet.core.BroadcastKey;
import com.hazelcast.jet.core.ProcessorMetaSupplier;
import com.hazelcast.jet.pipeline.BatchSource;
import com.hazelcast.jet.pipeline.Pipeline;
import com.hazelcast.jet.pipeline.Sink;
import com.hazelcast.jet.pipeline.Sinks;
import com.hazelcast.jet.pipeline.Sources;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * A running count for each key in Hazelcast Jet: one member in this process, two cooperative threads, snapshots into its own memory. Within a
 * member records pass from thread to thread by reference.
 */
public final class JetCount {
  private static final int PARALLELISM = 2;
  private static final List<Tally.Part> PARTS = Collections.synchronizedList(new ArrayList<>());

  /** A record. */
  public record Reading(Object key, int value, long time) implements Serializable {}

  private JetCount() {}

  public static void main(String[] args) {
    Settings settings = Settings.parse(args);
    System.setProperty("hazelcast.logging.type", "none");
    System.setProperty("hazelcast.phone.home.enabled", "false");
    Config config = new Config();
    config.getJetConfig().setEnabled(true).setCooperativeThreadCount(PARALLELISM);
    // A cluster of one: it looks for no others.
    config.getNetworkConfig().getJoin().getAutoDetectionConfig().setEnabled(false);
    config.getNetworkConfig().getJoin().getMulticastConfig().setEnabled(false);
    config.getNetworkConfig().getInterfaces().setEnabled(true).addInterface("127.0.0.1");

    Pipeline pipeline = Pipeline.create();
    pipeline
        .readFrom(source(settings))
        .groupingKey(Reading::key)
        .rollingAggregate(AggregateOperations.counting())
        .writeTo(sink(settings.warmUp() / PARALLELISM));
    JobConfig job = new JobConfig();
    job.setProcessingGuarantee(ProcessingGuarantee.EXACTLY_ONCE).setSnapshotIntervalMillis(10_000);
    HazelcastInstance instance = Hazelcast.newHazelcastInstance(config);
    try {
      instance.getJet().newJob(pipeline, job).join();
    } finally {
      instance.shutdown();
    }
    Outcome.print(settings, PARTS, "hazelcast", BuildInfoProvider.getBuildInfo().getVersion());
  }

  private static BatchSource<Reading> source(Settings settings) {
    return Sources.batchFromProcessor("readings", ProcessorMetaSupplier.of(PARALLELISM, () -> new ReadingSource(settings)));
  }

  private static Sink<Map.Entry<Object, Long>> sink(long startAt) {
    return Sinks.fromProcessor("tally", ProcessorMetaSupplier.of(PARALLELISM, () -> new TallySink(startAt)));
  }

  /** Every second reading, with its position in the snapshot. Cooperative, so that it needs no thread of its own. */
  private static final class ReadingSource extends AbstractProcessor {
    private final long records;
    private final Readings readings;
    private long next;
    /** What the outbox did not take yet: reading number {@code next}. */
    private Reading pending;

    ReadingSource(Settings settings) {
      records = settings.records();
      readings = new Readings(settings);
    }

    @Override
    protected void init(Context context) {
      next = context.globalProcessorIndex();
    }

    @Override
    public boolean complete() {
      for (; next < records; next += PARALLELISM) {
        if (pending == null) pending = new Reading(readings.keyAt(next), readings.valueAt(next), readings.timeAt(next));
        if (!tryEmit(pending)) return false;
        pending = null;
      }
      return true;
    }

    @Override
    public boolean saveToSnapshot() {
      return tryEmitToSnapshot(BroadcastKey.broadcastKey(next % PARALLELISM), next);
    }

    @Override
    protected void restoreFromSnapshot(Object key, Object position) {
      if ((long) position % PARALLELISM == next % PARALLELISM) next = (long) position;
    }
  }

  /** Adds the counts up. */
  private static final class TallySink extends AbstractProcessor {
    private final Tally tally;
    private long snapshots;

    TallySink(long startAt) {
      tally = new Tally(startAt);
    }

    @Override
    @SuppressWarnings("unchecked")
    protected boolean tryProcess0(Object result) {
      tally.add(((Map.Entry<Object, Long>) result).getValue());
      return true;
    }

    @Override
    public boolean snapshotCommitFinish(boolean success) {
      if (success) snapshots++;
      return true;
    }

    @Override
    public boolean complete() {
      PARTS.add(tally.part(snapshots));
      return true;
    }
  }
}
