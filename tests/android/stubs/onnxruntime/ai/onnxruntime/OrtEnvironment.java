package ai.onnxruntime;

public final class OrtEnvironment implements AutoCloseable {
    public static synchronized OrtEnvironment getEnvironment() {
        return new OrtEnvironment();
    }

    public void setTelemetry(boolean sendTelemetry) throws OrtException {
        if (sendTelemetry) {
            throw new IllegalStateException("an app must not send telemetry unasked");
        }
    }

    public OrtSession createSession(byte[] modelArray, OrtSession.SessionOptions options) throws OrtException {
        return new OrtSession(modelArray);
    }

    @Override
    public void close() {}
}
