package @PACKAGE@;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Runs the .onnx file in ONNX Runtime. */
public final class ModelRunner implements AutoCloseable {
    /** What computes; operators that it does not take run on the CPU. */
    public enum Provider {
        CPU,
        XNNPACK,
        NNAPI
    }

    /** How the file is run. */
    public static final class Options {
        /** For the CPU or XNNPACK. */
        public int threads = 4;

        /** CPU is what the export measured and verified. */
        public Provider provider = Provider.CPU;
    }

    private final OrtEnvironment environment;
    private final OrtSession session;

    public ModelRunner(byte[] model, Options options) {
        try {
            environment = OrtEnvironment.getEnvironment();
            environment.setTelemetry(false);
            session = environment.createSession(model, settings(options));
        } catch (OrtException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Every output for one input tensor, dequantized. */
    public Outputs run(ByteBuffer input) {
        try (OnnxTensor tensor = OnnxTensor.createTensor(environment, input, Contract.inputShape(), type());
                OrtSession.Result result = session.run(Collections.singletonMap(Contract.INPUT_NAME, tensor))) {
            Map<String, float[]> values = new LinkedHashMap<>();
            for (OutputContract output : Contract.OUTPUTS) {
                OnnxTensor given = (OnnxTensor) result.get(output.name).get();
                values.put(output.name, output.dequantize(given.getByteBuffer().order(ByteOrder.nativeOrder())));
            }
            return new Outputs(values);
        } catch (OrtException error) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void close() {
        try {
            session.close();
        } catch (OrtException error) {
            throw new IllegalStateException(error);
        }
    }

    private static OnnxJavaType type() {
        switch (Contract.input().type) {
            case FLOAT32:
                return OnnxJavaType.FLOAT;
            case INT8:
                return OnnxJavaType.INT8;
            case UINT8:
                return OnnxJavaType.UINT8;
            default:
                return OnnxJavaType.INT16;
        }
    }

    private static OrtSession.SessionOptions settings(Options options) throws OrtException {
        OrtSession.SessionOptions settings = new OrtSession.SessionOptions();
        switch (options.provider) {
            case NNAPI:
                settings.addNnapi();
                break;
            case XNNPACK:
                settings.setIntraOpNumThreads(1); // XNNPACK has threads of its own
                settings.addXnnpack(
                        Collections.singletonMap("intra_op_num_threads", Integer.toString(options.threads)));
                break;
            default:
                settings.setIntraOpNumThreads(options.threads);
        }
        return settings;
    }
}
