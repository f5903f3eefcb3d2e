package edgekit.bridge;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A model file in a Python process with the real runtime; see model_server.py. */
public final class Bridge implements AutoCloseable {
    private final Process process;
    private final DataOutputStream to;
    private final DataInputStream from;
    public final int outputBytes;

    public Bridge(byte[] model, String suffix) {
        try {
            Path file = Files.createTempFile("model", suffix);
            Files.write(file, model);
            process = new ProcessBuilder(
                            System.getProperty("edgekit.python"), System.getProperty("edgekit.server"), file.toString())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            to = new DataOutputStream(process.getOutputStream());
            from = new DataInputStream(process.getInputStream());
            outputBytes = from.readInt();
            Files.delete(file);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** The stored bytes of the first output. */
    public byte[] run(byte[] input) {
        try {
            to.writeInt(input.length);
            to.write(input);
            to.flush();
            return from.readNBytes(outputBytes);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    @Override
    public void close() {
        process.destroy();
    }
}
