package peers;

import java.util.Collection;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource.NumberSequenceSplit;
import org.apache.flink.api.connector.source.lib.util.IteratorSourceReaderBase;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.typeutils.ResultTypeQueryable;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;
import org.apache.flink.util.NumberSequenceIterator;

/**
 * The readings as a parallel source with positions. Splits and their enumeration are those of Flink's own source of numbers; the reader hands
 * over many records in each turn of the task's loop, which costs less than a record a turn, as Flink's own generators do it.
 */
public final class FlinkReadings
    implements Source<Tuple3<Object, Integer, Long>, NumberSequenceSplit, Collection<NumberSequenceSplit>>,
        ResultTypeQueryable<Tuple3<Object, Integer, Long>> {
  private static final int RECORDS_OF_A_TURN = 256;

  private final NumberSequenceSource numbers;
  private final Readings readings;
  private final TypeInformation<Tuple3<Object, Integer, Long>> type;

  public FlinkReadings(Settings settings, TypeInformation<Tuple3<Object, Integer, Long>> type) {
    numbers = new NumberSequenceSource(0, settings.records() - 1);
    readings = new Readings(settings);
    this.type = type;
  }

  @Override
  public SourceReader<Tuple3<Object, Integer, Long>, NumberSequenceSplit> createReader(SourceReaderContext context) {
    return new Reader(context, readings);
  }

  private static final class Reader
      extends IteratorSourceReaderBase<Long, Tuple3<Object, Integer, Long>, NumberSequenceIterator, NumberSequenceSplit> {
    private final Readings readings;

    Reader(SourceReaderContext context, Readings readings) {
      super(context);
      this.readings = readings;
    }

    @Override
    protected Tuple3<Object, Integer, Long> convert(Long number) {
      long i = number;
      return Tuple3.of(readings.keyAt(i), readings.valueAt(i), readings.timeAt(i));
    }

    @Override
    public InputStatus pollNext(ReaderOutput<Tuple3<Object, Integer, Long>> output) {
      InputStatus status = InputStatus.MORE_AVAILABLE;
      for (int left = RECORDS_OF_A_TURN; left > 0 && status == InputStatus.MORE_AVAILABLE; left--) {
        status = super.pollNext(output);
      }
      return status;
    }
  }

  @Override
  public Boundedness getBoundedness() {
    return numbers.getBoundedness();
  }

  @Override
  public SplitEnumerator<NumberSequenceSplit, Collection<NumberSequenceSplit>> createEnumerator(
      SplitEnumeratorContext<NumberSequenceSplit> context) {
    return numbers.createEnumerator(context);
  }

  @Override
  public SplitEnumerator<NumberSequenceSplit, Collection<NumberSequenceSplit>> restoreEnumerator(
      SplitEnumeratorContext<NumberSequenceSplit> context, Collection<NumberSequenceSplit> splits) {
    return numbers.restoreEnumerator(context, splits);
  }

  @Override
  public SimpleVersionedSerializer<NumberSequenceSplit> getSplitSerializer() {
    return numbers.getSplitSerializer();
  }

  @Override
  public SimpleVersionedSerializer<Collection<NumberSequenceSplit>> getEnumeratorCheckpointSerializer() {
    return numbers.getEnumeratorCheckpointSerializer();
  }

  @Override
  public TypeInformation<Tuple3<Object, Integer, Long>> getProducedType() {
    return type;
  }
}
