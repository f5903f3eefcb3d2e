package @PACKAGE@;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
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
    private final Preprocessor preprocessor = new Preprocessor(Contract.input());
    private final ModelRunner runner;
    private final List<String> labels;

    public Classifier(Context context) throws IOException {
        this(context, new ModelRunner.Options());
    }

    public Classifier(Context context, ModelRunner.Options options) throws IOException {
        labels = readLabels(context);
        runner = new ModelRunner(readModel(context), options);
    }

    /** Class names by index; empty where the model has none. */
    public List<String> labels() {
        return labels;
    }

    /** The likeliest classes, likeliest first. The image must stand upright: EXIF tags are not looked at. */
    public List<Result> classify(Bitmap bitmap, int count) {
        return Scores.top(scores(bitmap), labels, count);
    }

    /** The model's first output, dequantized. */
    public float[] scores(Bitmap bitmap) {
        return scores(preprocess(bitmap));
    }

    /** The same from an input tensor as the file stores it. */
    public float[] scores(ByteBuffer input) {
        return runner.run(input);
    }

    /** The input tensor as the file stores it. */
    public ByteBuffer preprocess(Bitmap bitmap) {
        Bitmap readable = bitmap.getConfig() == Bitmap.Config.ARGB_8888
                ? bitmap
                : bitmap.copy(Bitmap.Config.ARGB_8888, false);
        int width = readable.getWidth();
        int height = readable.getHeight();
        int[] pixels = new int[width * height];
        readable.getPixels(pixels, 0, width, 0, 0, width, height);
        return preprocessor.apply(pixels, width, height);
    }

    @Override
    public void close() {
        runner.close();
    }

    /** An encoded image as the model is to see it: full size, colours not multiplied by alpha. */
    public static Bitmap decode(InputStream stream) throws IOException {
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inPreferredConfig = Bitmap.Config.ARGB_8888;
        options.inPremultiplied = false;
        options.inScaled = false;
        Bitmap bitmap = BitmapFactory.decodeStream(stream, null, options);
        if (bitmap == null) {
            throw new IOException("not an image");
        }
        return bitmap;
    }

    private static byte[] readModel(Context context) throws IOException {
        try (InputStream stream = context.getAssets().open(Contract.MODEL)) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            byte[] block = new byte[1 << 16];
            for (int count = stream.read(block); count >= 0; count = stream.read(block)) {
                bytes.write(block, 0, count);
            }
            return bytes.toByteArray();
        }
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
