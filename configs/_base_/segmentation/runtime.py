_base_ = '../runtime.py'
custom_imports = dict(imports=['ssod', 'ssod.segmentation'], allow_failed_imports=False)
