package @PACKAGE@

import android.content.res.AssetManager
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith

/** The bundle's golden images and vectors, on this device. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()
    private val golden: AssetManager = instrumentation.context.assets
    private lateinit var classifier: Classifier

    @Before
    fun load() {
        classifier = Classifier(instrumentation.targetContext)
    }

    @After
    fun close() = classifier.close()

    @Test
    fun everyImageBecomesItsTensor() {
        for (name in names("images.txt")) {
            val bitmap = golden.open("golden/$name.png").use { Classifier.decode(it) }
            val tensor = classifier.preprocess(bitmap)
            val bytes = ByteArray(tensor.remaining())
            tensor.get(bytes)
            assertArrayEquals(name, read("$name.input"), bytes)
        }
    }

    @Test
    fun everyTensorGivesItsScores() {
        for (name in names("tensors.txt")) {
            val bytes = read("$name.input")
            val input = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
            input.put(bytes)
            input.rewind()
            val wanted = ByteBuffer.wrap(read("$name.outputs")).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            val scores = classifier.scores(input)
            assertTrue(name, scores.size == wanted.remaining())
            for (i in scores.indices) {
                assertTrue("$name, class $i: ${scores[i]}, not ${wanted[i]}", abs(scores[i] - wanted[i]) <= TOLERANCE)
            }
        }
    }

    private fun names(list: String): List<String> = String(read(list)).lines().filter { it.isNotEmpty() }

    private fun read(file: String): ByteArray = golden.open("golden/$file").use { it.readBytes() }

    private companion object {
        /** @TOLERANCE_REASON@ */
        const val TOLERANCE = @TOLERANCE@
    }
}
