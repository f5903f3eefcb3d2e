package @PACKAGE@;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** From the model's outputs to classes. It needs nothing of Android, so it runs on any JVM. */
public final class Scores {
    private Scores() {}

    /** The output that holds one score per class. */
    public static float[] of(Outputs outputs) {
        for (OutputContract output : Contract.OUTPUTS) {
            if (output.meaning.equals("scores")) {
                return outputs.get(output.name);
            }
        }
        throw new IllegalStateException("the model has no classes");
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
