"""Methods, one file each: settings, presets, objective, and how readers see them.

A file may bind METHOD, PRESETS (by name, what each changes of the defaults) and LOOKS (by name). That of a method which
is trained has the name of its objective, and binds

- `create_objective(context)`: the objective, whose losses are written out there;
- `DIRECTED = True`, if it needs directions of the model without the adapter;
- `list_depths(settings)`, if it reads states at some depths alone: those depths, as shares of the model's blocks.
  Blocks after the one that follows the deepest get no update.

The command line reads every file at its start, so none imports torch before it computes (harc.core.lazy).
"""
