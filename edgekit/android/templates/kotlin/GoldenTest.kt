package @PACKAGE@

import android.content.res.AssetManager
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith

/** The bundle's golden images and vectors, on this device. */
@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()
    private val golden: AssetManager = instrumentation.context.assets
    private lateinit var model: Model

    @Before
    fun load() {
        model = Model(instrumentation.targetContext)
    }

    @After
    fun close() = model.close()

    @Test
    fun everyImageBecomesItsTensor() {
        for (name in names("images.txt")) {
            val bitmap = golden.open("golden/$name.png").use { Model.decode(it) }
            val tensor = model.preprocess(bitmap)
            val bytes = ByteArray(tensor.remaining())
            tensor.get(bytes)
            assertArrayEquals(name, read("$name.input"), bytes)
        }
    }

    @Test
    fun everyTensorGivesItsOutputs() {
        for (name in names("tensors.txt")) {
            val bytes = read("$name.input")
            val input = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
            input.put(bytes)
            input.rewind()
            val outputs = model.run(input)
            for ((i, output) in Contract.OUTPUTS.withIndex()) {
                val wanted = floats(read("$name.outputs.$i"))
                assertArrayEquals("$name, output ${output.name}", wanted, outputs[output.name], TOLERANCES[i])
            }
        }
    }

    private fun names(list: String): List<String> = String(read(list)).lines().filter { it.isNotEmpty() }

    private fun read(file: String): ByteArray = golden.open("golden/$file").use { it.readBytes() }

    private fun floats(stored: ByteArray): FloatArray {
        val buffer = ByteBuffer.wrap(stored).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(buffer.remaining()) { buffer.get() }
    }

    private companion object {
        /** How far each of [Contract.OUTPUTS] may be off. */
        val TOLERANCES = floatArrayOf(
            @TOLERANCE@, // @TOLERANCE_REASON@
        )
    }
}
