package @PACKAGE@;

import static org.junit.Assert.assertArrayEquals;

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
    /** How far each of {@link Contract#OUTPUTS} may be off. */
    private static final float[] TOLERANCES = {
        @TOLERANCE@, // @TOLERANCE_REASON@
    };

    private AssetManager golden;
    private Model model;

    @Before
    public void load() throws IOException {
        golden = InstrumentationRegistry.getInstrumentation().getContext().getAssets();
        Context context = InstrumentationRegistry.getInstrumentation().getTargetContext();
        model = new Model(context);
    }

    @After
    public void close() {
        model.close();
    }

    @Test
    public void everyImageBecomesItsTensor() throws IOException {
        for (String name : names("images.txt")) {
            try (InputStream stream = golden.open("golden/" + name + ".png")) {
                ByteBuffer tensor = model.preprocess(Model.decode(stream));
                byte[] bytes = new byte[tensor.remaining()];
                tensor.get(bytes);
                assertArrayEquals(name, read(name + ".input"), bytes);
            }
        }
    }

    @Test
    public void everyTensorGivesItsOutputs() throws IOException {
        for (String name : names("tensors.txt")) {
            byte[] bytes = read(name + ".input");
            ByteBuffer input = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
            input.put(bytes);
            input.rewind();
            Outputs outputs = model.run(input);
            for (int i = 0; i < TOLERANCES.length; i++) {
                String output = Contract.OUTPUTS.get(i).name;
                float[] wanted = floats(read(name + ".outputs." + i));
                assertArrayEquals(name + ", output " + output, wanted, outputs.get(output), TOLERANCES[i]);
            }
        }
    }

    private static float[] floats(byte[] stored) {
        FloatBuffer buffer = ByteBuffer.wrap(stored).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        float[] values = new float[buffer.remaining()];
        buffer.get(values);
        return values;
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
