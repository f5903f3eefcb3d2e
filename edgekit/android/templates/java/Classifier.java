package @PACKAGE@;

import android.content.Context;
import android.graphics.Bitmap;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Image in, classes out, exactly as the bundle's contract says.
 *
 * <p>Keep one per thread that uses it; making one loads the model. {@link #close} frees it.
 */
public final class Classifier implements AutoCloseable {
    private final List<String> labels;
    private final Model model;

    public Classifier(Context context) throws IOException {
        this(context, new ModelRunner.Options());
    }

    public Classifier(Context context, ModelRunner.Options options) throws IOException {
        labels = readLabels(context);
        model = new Model(context, options);
    }

    /** Class names by index; empty where the model has none. */
    public List<String> labels() {
        return labels;
    }

    /** The likeliest classes, likeliest first. The image must stand upright: EXIF tags are not looked at. */
    public List<Result> classify(Bitmap bitmap, int count) {
        return classify(run(bitmap), count);
    }

    /** The same from what {@link #run} gave. */
    public List<Result> classify(Outputs outputs, int count) {
        return Scores.top(Scores.of(outputs), labels, count);
    }

    /** Every output of the model, the scores among them. */
    public Outputs run(Bitmap bitmap) {
        return model.run(bitmap);
    }

    /** One score per class. */
    public float[] scores(Bitmap bitmap) {
        return Scores.of(run(bitmap));
    }

    /** The same from an input tensor as the file stores it. */
    public float[] scores(ByteBuffer input) {
        return Scores.of(model.run(input));
    }

    /** The input tensor as the file stores it. */
    public ByteBuffer preprocess(Bitmap bitmap) {
        return model.preprocess(bitmap);
    }

    @Override
    public void close() {
        model.close();
    }

    /** See {@link Model#decode}. */
    public static Bitmap decode(InputStream stream) throws IOException {
        return Model.decode(stream);
    }

    private static List<String> readLabels(Context context) throws IOException {
        List<String> names = new ArrayList<>();
        if (Contract.LABELS.isEmpty()) {
            return names;
        }
        try (InputStream stream = context.getAssets().open(Contract.LABELS);
                BufferedReader reader = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                names.add(line);
            }
        }
        return names;
    }
}
