package edgekit.net

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith

/** Every call of Classifier that an app can make; expected.txt has the picture's likeliest class. */
@RunWith(AndroidJUnit4::class)
class ClassifierTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val golden = InstrumentationRegistry.getInstrumentation().context.assets
    private val bitmap = golden.open("golden/landscape.png").use { Classifier.decode(it) }

    @Test
    fun theLikeliestClassComesFirst() = Classifier(context, ModelRunner.Options(threads = 2)).use { classifier ->
        val (first, _) = classifier.classify(bitmap, 2)
        assertEquals(golden.open("golden/expected.txt").bufferedReader().readLines().first(), first.label)
        assertEquals(first.label, classifier.labels[first.index])
        val scores = classifier.scores(bitmap)
        assertEquals(classifier.labels.size, scores.size)
        assertEquals(first.score, scores[first.index], 0f)
        assertEquals(first, classifier.classify(bitmap).first())
        assertArrayEquals(scores, classifier.scores(classifier.preprocess(bitmap)), 0f)
    }

    @Test
    fun theOtherOutputsComeFromTheSameRun() = Classifier(context).use { classifier ->
        val outputs = classifier.run(bitmap)
        assertEquals(Contract.OUTPUTS.size, outputs.names.size)
        assertArrayEquals(classifier.scores(bitmap), Scores.of(outputs), 0f)
        assertEquals(classifier.classify(bitmap), classifier.classify(outputs))
    }
}
