package edgekit.net

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** Every call of Model that an app can make. */
@RunWith(AndroidJUnit4::class)
class ModelTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val golden = InstrumentationRegistry.getInstrumentation().context.assets
    private val bitmap = golden.open("golden/landscape.png").use { Model.decode(it) }

    @Test
    fun everyOutputOfTheContractIsThere() = Model(context).use { model ->
        val outputs = model.run(bitmap)
        assertEquals(Contract.OUTPUTS.map { it.name }, outputs.names.toList())
        for (output in Contract.OUTPUTS) {
            assertEquals(output.name, output.shape.fold(1, Int::times), outputs[output.name].size)
        }
    }

    @Test
    fun pixelsGiveWhatTheBitmapGives() = Model(context, ModelRunner.Options(threads = 2)).use { model ->
        val pixels = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        val outputs = model.run(model.preprocess(pixels, bitmap.width, bitmap.height))
        for (name in outputs.names) assertArrayEquals(model.run(bitmap)[name], outputs[name], 0f)
    }

    @Test
    fun anUnknownNameIsAnsweredWithThoseThatThereAre() = Model(context).use { model ->
        val outputs = model.run(bitmap)
        val error = assertThrows(IllegalArgumentException::class.java) { outputs["nothing"] }
        for (name in outputs.names) assertTrue(error.message, name in error.message.orEmpty())
    }
}
