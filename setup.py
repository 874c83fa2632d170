"""Packaging of the plugin alone; `make install` sets up everything around it."""

from setuptools import find_packages, setup

setup(
    name='ssod',
    version='0.1.0',
    description='Soft Teacher: semi-supervised object detection on MMDetection 2.28',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['ssod', 'ssod.*']),
    # mmcv-full is not named here on purpose. pip would build it in an isolated environment without torch, where its
    # setup.py quietly leaves out every compiled op, and would cache that wheel for later. tools/install.sh builds it
    # against the torch in use and proves it. OpenCV comes with it, for it must not be installed twice.
    install_requires=['torch>=2.0', 'torchvision>=0.15', 'mmdet==2.28.2', 'numpy', 'pycocotools'],
    extras_require={'logging': ['tensorboard', 'wandb']},
    classifiers=[
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
    ],
)
