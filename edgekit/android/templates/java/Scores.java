package @PACKAGE@;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** From the model's output tensor to classes. It needs nothing of Android, so it runs on any JVM. */
public final class Scores {
    private Scores() {}

    /** Real values of a stored output tensor, from its position to its limit. */
    public static float[] dequantize(ByteBuffer stored) {
        float[] scores = new float[stored.remaining() / Contract.OUTPUT_TYPE.bytes];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = next(stored);
        }
        return scores;
    }

    private static float next(ByteBuffer stored) {
        switch (Contract.OUTPUT_TYPE) {
            case FLOAT32:
                return stored.getFloat();
            case INT8:
                return real(stored.get());
            case UINT8:
                return real(stored.get() & 0xFF);
            default:
                return real(stored.getShort());
        }
    }

    private static float real(int stored) {
        return Contract.OUTPUT_SCALE * (stored - Contract.OUTPUT_ZERO_POINT);
    }

    /** The count highest scores, highest first; of equal ones the lower index. */
    public static List<Result> top(float[] scores, List<String> labels, int count) {
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < scores.length; i++) {
            order.add(i);
        }
        Collections.sort(order, (a, b) -> Float.compare(scores[b], scores[a]));
        List<Result> results = new ArrayList<>();
        for (int index : order.subList(0, Math.min(count, order.size()))) {
            String label = index < labels.size() ? labels.get(index) : "class " + index;
            results.add(new Result(index, label, scores[index]));
        }
        return results;
    }
}
