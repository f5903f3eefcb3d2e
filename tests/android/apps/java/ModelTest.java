package edgekit.net;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.content.Context;
import android.content.res.AssetManager;
import android.graphics.Bitmap;
import androidx.test.ext.junit.runners.AndroidJUnit4;
import androidx.test.platform.app.InstrumentationRegistry;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.junit.Test;
import org.junit.runner.RunWith;

/** Every call of Model that an app can make. */
@RunWith(AndroidJUnit4.class)
public final class ModelTest {
    private final Context context = InstrumentationRegistry.getInstrumentation().getTargetContext();
    private final AssetManager golden = InstrumentationRegistry.getInstrumentation().getContext().getAssets();

    @Test
    public void everyOutputOfTheContractIsThere() throws Exception {
        try (Model model = new Model(context)) {
            Outputs outputs = model.run(picture());
            List<String> names = new ArrayList<>();
            for (OutputContract output : Contract.OUTPUTS) {
                int count = 1;
                for (int size : output.shape()) {
                    count *= size;
                }
                assertEquals(output.name, count, outputs.get(output.name).length);
                names.add(output.name);
            }
            assertEquals(names, new ArrayList<>(outputs.names()));
        }
    }

    @Test
    public void pixelsGiveWhatTheBitmapGives() throws Exception {
        try (Model model = new Model(context, new ModelRunner.Options())) {
            Bitmap bitmap = picture();
            int[] pixels = new int[bitmap.getWidth() * bitmap.getHeight()];
            bitmap.getPixels(pixels, 0, bitmap.getWidth(), 0, 0, bitmap.getWidth(), bitmap.getHeight());
            Outputs outputs = model.run(model.preprocess(pixels, bitmap.getWidth(), bitmap.getHeight()));
            for (String name : outputs.names()) {
                assertArrayEquals(model.run(bitmap).get(name), outputs.get(name), 0f);
            }
        }
    }

    @Test
    public void anUnknownNameIsAnsweredWithThoseThatThereAre() throws Exception {
        try (Model model = new Model(context)) {
            Outputs outputs = model.run(picture());
            Exception error = assertThrows(IllegalArgumentException.class, () -> outputs.get("nothing"));
            for (String name : outputs.names()) {
                assertTrue(error.getMessage(), error.getMessage().contains(name));
            }
        }
    }

    private Bitmap picture() throws Exception {
        try (InputStream stream = golden.open("golden/landscape.png")) {
            return Model.decode(stream);
        }
    }
}
