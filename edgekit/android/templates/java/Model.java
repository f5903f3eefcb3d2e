package @PACKAGE@;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;

/**
 * Image in, outputs by name, exactly as the bundle's contract says.
 *
 * <p>Keep one per thread that uses it; making one loads the model. {@link #close} frees it.
 */
public final class Model implements AutoCloseable {
    private final Preprocessor preprocessor = new Preprocessor(Contract.input());
    private final ModelRunner runner;

    public Model(Context context) throws IOException {
        this(context, new ModelRunner.Options());
    }

    public Model(Context context, ModelRunner.Options options) throws IOException {
        runner = new ModelRunner(readModel(context), options);
    }

    /** Every output for an image, which must stand upright: EXIF tags are not looked at. */
    public Outputs run(Bitmap bitmap) {
        return run(preprocess(bitmap));
    }

    /** The same from an input tensor as the file stores it. */
    public Outputs run(ByteBuffer input) {
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
        return preprocess(pixels, width, height);
    }

    /** The same from pixels as {@link Bitmap#getPixels} gives them: ARGB, not premultiplied, row by row. */
    public ByteBuffer preprocess(int[] pixels, int width, int height) {
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
}
