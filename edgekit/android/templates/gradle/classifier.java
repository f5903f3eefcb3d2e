try (Classifier classifier = new Classifier(context);
        InputStream stream = getContentResolver().openInputStream(uri)) {
    Bitmap bitmap = Classifier.decode(stream);
    for (Result result : classifier.classify(bitmap, 3)) {
        Log.i("model", result.label + " " + result.score);
    }
}
