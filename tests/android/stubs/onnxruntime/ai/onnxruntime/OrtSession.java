package ai.onnxruntime;

import edgekit.bridge.Bridge;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Optional;

public class OrtSession implements AutoCloseable {
    public static class SessionOptions implements AutoCloseable {
        public void setIntraOpNumThreads(int numThreads) throws OrtException {}

        public void addNnapi() throws OrtException {}

        public void addXnnpack(Map<String, String> providerOptions) throws OrtException {}

        @Override
        public void close() {}
    }

    public static class Result implements AutoCloseable {
        private final Map<String, byte[]> stored;

        Result(Map<String, byte[]> stored) {
            this.stored = stored;
        }

        public Optional<OnnxValue> get(String key) {
            return Optional.ofNullable(stored.get(key)).map(data -> new OnnxTensor(ByteBuffer.wrap(data)));
        }

        @Override
        public void close() {}
    }

    private final Bridge bridge;

    OrtSession(byte[] model) {
        bridge = new Bridge(model, ".onnx");
    }

    public Result run(Map<String, ? extends OnnxTensorLike> inputs) throws OrtException {
        ByteBuffer given = ((OnnxTensor) inputs.values().iterator().next()).getByteBuffer();
        byte[] input = new byte[given.remaining()];
        given.get(input);
        return new Result(bridge.run(input));
    }

    @Override
    public void close() throws OrtException {
        bridge.close();
    }
}
