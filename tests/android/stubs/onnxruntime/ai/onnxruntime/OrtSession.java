package ai.onnxruntime;

import edgekit.bridge.Bridge;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Set;

public class OrtSession implements AutoCloseable {
    public static class SessionOptions implements AutoCloseable {
        public void setIntraOpNumThreads(int numThreads) throws OrtException {}

        public void addNnapi() throws OrtException {}

        public void addXnnpack(Map<String, String> providerOptions) throws OrtException {}

        @Override
        public void close() {}
    }

    public static class Result implements AutoCloseable {
        private final OnnxTensor tensor;

        Result(OnnxTensor tensor) {
            this.tensor = tensor;
        }

        public OnnxValue get(int index) {
            return tensor;
        }

        @Override
        public void close() {}
    }

    private final Bridge bridge;

    OrtSession(byte[] model) {
        bridge = new Bridge(model, ".onnx");
    }

    public Result run(Map<String, ? extends OnnxTensorLike> inputs, Set<String> requestedOutputs) throws OrtException {
        ByteBuffer given = ((OnnxTensor) inputs.values().iterator().next()).getByteBuffer();
        byte[] input = new byte[given.remaining()];
        given.get(input);
        return new Result(new OnnxTensor(ByteBuffer.wrap(bridge.run(input))));
    }

    @Override
    public void close() throws OrtException {
        bridge.close();
    }
}
