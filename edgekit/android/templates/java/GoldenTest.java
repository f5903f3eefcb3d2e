package @PACKAGE@;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import android.content.Context;
import android.content.res.AssetManager;
import androidx.test.ext.junit.runners.AndroidJUnit4;
import androidx.test.platform.app.InstrumentationRegistry;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;

/** The bundle's golden images and vectors, on this device. */
@RunWith(AndroidJUnit4.class)
public final class GoldenTest {
    /** @TOLERANCE_REASON@ */
    private static final float TOLERANCE = @TOLERANCE@;

    private AssetManager golden;
    private Classifier classifier;

    @Before
    public void load() throws IOException {
        golden = InstrumentationRegistry.getInstrumentation().getContext().getAssets();
        Context context = InstrumentationRegistry.getInstrumentation().getTargetContext();
        classifier = new Classifier(context);
    }

    @After
    public void close() {
        classifier.close();
    }

    @Test
    public void everyImageBecomesItsTensor() throws IOException {
        for (String name : names("images.txt")) {
            try (InputStream stream = golden.open("golden/" + name + ".png")) {
                ByteBuffer tensor = classifier.preprocess(Classifier.decode(stream));
                byte[] bytes = new byte[tensor.remaining()];
                tensor.get(bytes);
                assertArrayEquals(name, read(name + ".input"), bytes);
            }
        }
    }

    @Test
    public void everyTensorGivesItsScores() throws IOException {
        for (String name : names("tensors.txt")) {
            byte[] bytes = read(name + ".input");
            ByteBuffer input = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
            input.put(bytes);
            input.rewind();
            ByteBuffer stored = ByteBuffer.wrap(read(name + ".outputs"));
            FloatBuffer wanted = stored.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
            float[] scores = classifier.scores(input);
            assertEquals(name, wanted.remaining(), scores.length);
            for (int i = 0; i < scores.length; i++) {
                assertEquals(name + ", class " + i, wanted.get(i), scores[i], TOLERANCE);
            }
        }
    }

    private String[] names(String list) throws IOException {
        return new String(read(list), "UTF-8").split("\n");
    }

    private byte[] read(String file) throws IOException {
        try (InputStream stream = golden.open("golden/" + file)) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            byte[] block = new byte[1 << 16];
            for (int count = stream.read(block); count >= 0; count = stream.read(block)) {
                bytes.write(block, 0, count);
            }
            return bytes.toByteArray();
        }
    }
}
