"""Pictures, and no models: folders of them, what makes an input of one, class names."""
