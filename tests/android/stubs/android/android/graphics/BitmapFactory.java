package android.graphics;

import java.awt.image.BufferedImage;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.io.IOException;
import java.io.InputStream;
import javax.imageio.ImageIO;

public class BitmapFactory {
    public static class Options {
        public Bitmap.Config inPreferredConfig = Bitmap.Config.ARGB_8888;
        public boolean inPremultiplied = true;
        public boolean inScaled = true;
    }

    public static Bitmap decodeStream(InputStream is, Rect outPadding, Options opts) {
        try {
            BufferedImage image = ImageIO.read(is);
            if (image == null) {
                return null;
            }
            int[] pixels = new int[image.getWidth() * image.getHeight()];
            for (int i = 0; i < pixels.length; i++) {
                int argb = argb(image, i % image.getWidth(), i / image.getWidth());
                pixels[i] = opts.inPremultiplied ? premultiplied(argb) : argb;
            }
            return Bitmap.createBitmap(pixels, image.getWidth(), image.getHeight(), opts.inPreferredConfig);
        } catch (IOException error) {
            return null;
        }
    }

    /** The samples as they are stored; getRGB would convert grey ones to another gamma. */
    private static int argb(BufferedImage image, int x, int y) {
        Raster raster = image.getRaster();
        if (image.getColorModel() instanceof IndexColorModel || raster.getNumBands() > 2) {
            return image.getRGB(x, y);
        }
        int grey = raster.getSample(x, y, 0);
        int alpha = raster.getNumBands() == 2 ? raster.getSample(x, y, 1) : 255;
        return alpha << 24 | grey << 16 | grey << 8 | grey;
    }

    /** What is left of a colour that was kept multiplied by its alpha. */
    private static int premultiplied(int argb) {
        int alpha = argb >>> 24;
        int result = alpha;
        for (int shift = 16; shift >= 0; shift -= 8) {
            int kept = ((argb >> shift & 0xFF) * alpha + 127) / 255;
            result = result << 8 | (alpha == 0 ? 0 : Math.min(255, (kept * 255 + alpha / 2) / alpha));
        }
        return result;
    }
}
