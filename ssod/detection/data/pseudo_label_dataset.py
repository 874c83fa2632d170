"""Images with the boxes that a detector gave them."""

from typing import Any

from mmdet.datasets import DATASETS, CocoDataset


@DATASETS.register_module()
class PseudoLabelDataset(CocoDataset):
    """A file of tools/pseudo_label.py, COCO annotations with a ``score`` each, read above a threshold.

    Images of which no box is left are dropped, unless ``filter_empty_gt=False``: what the detector did not find is no
    proof of background.

    Args:
        score_thr: boxes whose score exceeds it are the image's ground truth; 0.9 is STAC's (Sohn et al. 2020, sec. 4).
        args, kwargs: ``CocoDataset``'s.

    Raises:
        ValueError: annotations without a score, a file that was written with a higher threshold, its classes in an
            order that would mix up their names, or no box above the threshold.
    """

    def __init__(self, *args: Any, score_thr: float = 0.9, **kwargs: Any) -> None:
        self.score_thr = score_thr
        super().__init__(*args, **kwargs)

    def load_annotations(self, ann_file: str) -> list[dict]:
        """The images; of the annotations those above the threshold stay in ``self.coco``."""
        infos = super().load_annotations(ann_file)
        self._check_classes()
        data = self.coco.dataset
        annotations = data.get('annotations', [])
        self._check_scores(annotations, data.get('info', {}).get('score_thr', 0))
        data['annotations'] = [annotation for annotation in annotations if annotation['score'] > self.score_thr]
        self.coco.createIndex()
        self.coco.img_ann_map, self.coco.cat_img_map = self.coco.imgToAnns, self.coco.catToImgs
        return infos

    def _check_classes(self) -> None:
        names = [category['name'] for category in self.coco.dataset['categories'] if category['id'] in self.cat_ids]
        if names != list(self.CLASSES):  # labels are numbered as the file does
            raise ValueError(f'{self.ann_file} has the classes {names}, the config {list(self.CLASSES)}')

    def _check_scores(self, annotations: list[dict], written_thr: float) -> None:
        if not all('score' in annotation for annotation in annotations):
            raise ValueError(f'{self.ann_file} has annotations without a score: write it with tools/pseudo_label.py')
        if self.score_thr < written_thr:
            raise ValueError(
                f'{self.ann_file} holds the boxes above {written_thr} alone, score_thr is {self.score_thr}: write it '
                f'again with tools/pseudo_label.py --score-thr {self.score_thr}'
            )
        highest = max((annotation['score'] for annotation in annotations), default=written_thr)
        if highest <= self.score_thr and self.filter_empty_gt:
            raise ValueError(
                f'{self.ann_file} has no box with a score above {self.score_thr}, the highest is at most '
                f'{highest:.2f}: train the detector that wrote it longer, or lower score_thr (pseudo_score_thr in our '
                'configs) and write it again'
            )
