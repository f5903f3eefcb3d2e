package android.app;

import android.content.ContentResolver;
import android.content.Context;
import android.content.res.AssetManager;
import java.nio.file.Paths;

public class Instrumentation {
    /** The test's own package. */
    public Context getContext() {
        return of("edgekit.test.assets");
    }

    /** The package under test. */
    public Context getTargetContext() {
        return of("edgekit.main.assets");
    }

    private static Context of(String property) {
        AssetManager assets = new AssetManager(Paths.get(System.getProperty(property)));
        return new Context() {
            @Override
            public AssetManager getAssets() {
                return assets;
            }

            @Override
            public ContentResolver getContentResolver() {
                throw new UnsupportedOperationException();
            }
        };
    }
}
