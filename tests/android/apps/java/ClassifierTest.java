package edgekit.net;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import android.content.Context;
import android.content.res.AssetManager;
import android.graphics.Bitmap;
import androidx.test.ext.junit.runners.AndroidJUnit4;
import androidx.test.platform.app.InstrumentationRegistry;
import java.io.InputStream;
import java.util.List;
import java.util.Scanner;
import org.junit.Test;
import org.junit.runner.RunWith;

/** Every call of Classifier that an app can make; expected.txt has the picture's likeliest class. */
@RunWith(AndroidJUnit4.class)
public final class ClassifierTest {
    private final Context context = InstrumentationRegistry.getInstrumentation().getTargetContext();
    private final AssetManager golden = InstrumentationRegistry.getInstrumentation().getContext().getAssets();

    @Test
    public void theLikeliestClassComesFirst() throws Exception {
        try (Classifier classifier = new Classifier(context, new ModelRunner.Options());
                Scanner expected = new Scanner(golden.open("golden/expected.txt"))) {
            Bitmap bitmap = picture();
            List<Result> results = classifier.classify(bitmap, 2);
            Result first = results.get(0);
            assertEquals(2, results.size());
            assertEquals(expected.nextLine(), first.label);
            assertEquals(first.label, classifier.labels().get(first.index));
            float[] scores = classifier.scores(bitmap);
            assertEquals(classifier.labels().size(), scores.length);
            assertEquals(first.score, scores[first.index], 0f);
            assertArrayEquals(scores, classifier.scores(classifier.preprocess(bitmap)), 0f);
        }
    }

    @Test
    public void theOtherOutputsComeFromTheSameRun() throws Exception {
        try (Classifier classifier = new Classifier(context)) {
            Bitmap bitmap = picture();
            Outputs outputs = classifier.run(bitmap);
            assertEquals(Contract.OUTPUTS.size(), outputs.names().size());
            assertArrayEquals(classifier.scores(bitmap), Scores.of(outputs), 0f);
            assertEquals(
                    classifier.classify(bitmap, 1).get(0).label,
                    classifier.classify(outputs, 1).get(0).label);
        }
    }

    private Bitmap picture() throws Exception {
        try (InputStream stream = golden.open("golden/landscape.png")) {
            return Classifier.decode(stream);
        }
    }
}
