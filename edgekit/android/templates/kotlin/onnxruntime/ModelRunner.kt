package @PACKAGE@

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Runs the .onnx file in ONNX Runtime. */
class ModelRunner(model: ByteArray, options: Options = Options()) : AutoCloseable {
    /** What computes; operators that it does not take run on the CPU. */
    enum class Provider { CPU, XNNPACK, NNAPI }

    /**
     * @property threads for the CPU or XNNPACK.
     * @property provider CPU is what the export measured and verified.
     */
    class Options(val threads: Int = 4, val provider: Provider = Provider.CPU)

    private val environment = OrtEnvironment.getEnvironment().apply { setTelemetry(false) }
    private val session = environment.createSession(model, settings(options))

    /** Every output for one input tensor, dequantized. */
    fun run(input: ByteBuffer): Outputs =
        OnnxTensor.createTensor(environment, input, Contract.INPUT_SHAPE, type()).use { tensor ->
            session.run(mapOf(Contract.INPUT_NAME to tensor)).use { result ->
                Outputs(Contract.OUTPUTS.associate { it.name to it.dequantize(stored(result, it.name)) })
            }
        }

    private fun stored(result: OrtSession.Result, name: String): ByteBuffer =
        (result.get(name).get() as OnnxTensor).byteBuffer.order(ByteOrder.nativeOrder())

    override fun close() = session.close()

    private fun type(): OnnxJavaType = when (Contract.INPUT.type) {
        TensorType.FLOAT32 -> OnnxJavaType.FLOAT
        TensorType.INT8 -> OnnxJavaType.INT8
        TensorType.UINT8 -> OnnxJavaType.UINT8
        else -> OnnxJavaType.INT16
    }

    private fun settings(options: Options): OrtSession.SessionOptions {
        val settings = OrtSession.SessionOptions()
        when (options.provider) {
            Provider.CPU -> settings.setIntraOpNumThreads(options.threads)
            Provider.NNAPI -> settings.addNnapi()
            Provider.XNNPACK -> {
                settings.setIntraOpNumThreads(1) // XNNPACK has threads of its own
                settings.addXnnpack(mapOf("intra_op_num_threads" to options.threads.toString()))
            }
        }
        return settings
    }
}
