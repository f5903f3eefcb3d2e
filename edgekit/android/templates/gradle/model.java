try (Model model = new Model(context);
        InputStream stream = getContentResolver().openInputStream(uri)) {
    Outputs outputs = model.run(Model.decode(stream));
    for (String name : outputs.names()) {
        Log.i("model", name + " " + outputs.get(name).length);
    }
}
