package @PACKAGE@

import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter

/** Runs the .tflite file in LiteRT's interpreter. */
class ModelRunner(model: ByteArray, options: Options = Options()) : AutoCloseable {
    /**
     * @property threads for the CPU.
     * @property xnnpack the CPU's fast kernels; what the export measured and verified.
     * @property delegates others, tried before it, for example `GpuDelegate()` of litert-gpu. Close them after the runner.
     */
    class Options(val threads: Int = 4, val xnnpack: Boolean = true, val delegates: List<Delegate> = emptyList())

    private val interpreter = interpreter(model, options)

    // By name: the order of a file's outputs is no contract.
    private val indices = Contract.OUTPUTS.associateWith { interpreter.getOutputIndex(it.name) }
    private val stored = indices.values.associateWith { buffer(interpreter.getOutputTensor(it).numBytes()) }

    /** Every output for one input tensor, dequantized. */
    fun run(input: ByteBuffer): Outputs {
        for (buffer in stored.values) buffer.clear()
        interpreter.runForMultipleInputsOutputs(arrayOf(input), stored)
        for (buffer in stored.values) buffer.rewind()
        return Outputs(indices.entries.associate { (output, i) -> output.name to output.dequantize(stored.getValue(i)) })
    }

    override fun close() = interpreter.close()

    private fun interpreter(model: ByteArray, options: Options): Interpreter {
        val buffer = buffer(model.size)
        buffer.put(model)
        buffer.rewind()
        val settings = Interpreter.Options()
        settings.setNumThreads(options.threads)
        settings.setUseXNNPACK(options.xnnpack)
        for (delegate in options.delegates) settings.addDelegate(delegate)
        return Interpreter(buffer, settings)
    }

    private fun buffer(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())
}
