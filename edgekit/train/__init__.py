"""Training: any source's net on your images, to a folder that `edgekit export` takes.

    config     every option
    layouts, pictures, pixels     where images are, their classes and halves, their decoded bytes
    augment, rand_augment, mix, feed     random views, a batch ahead of the net
    start, settle      the net with its head, and what a run decides by itself
    task       the seam for other losses and labels
    optimizer, schedule, loop     one step, one epoch
    workers    several processes that share each batch
    distil     a teacher's answers beside the labels
    fit, run, checkpoint, run_folder, page, finish     a run in its folder
    fine_tune  a module and images, without a folder

Importing the package loads nothing: `edgekit train --help` reads the options alone.
"""
