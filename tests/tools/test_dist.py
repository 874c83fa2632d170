"""Several processes with gloo, through the shell scripts."""

import json
import os
import re
import subprocess

import pytest
from mmcv import Config
from runs import BASELINE, ENV, ROOT, SOFT_TEACHER, coco, shell, small, taught

TINY_COCO = [
    'model.backbone.init_cfg=None',
    'model.train_cfg.rpn_proposal.max_per_img=50',
    'model.train_cfg.rcnn.sampler.num=32',
    'model.roi_head.bbox_head.fc_out_channels=64',
    'train_scale=[(64,48),(64,64)]',
    'test_scale=(64,64)',
    'data.workers_per_gpu=0',
    'runner.max_iters=2',
    'checkpoint_config.interval=2',
    'log_config.interval=1',
]


def torchrun(script: str, *argv: object) -> subprocess.CompletedProcess:
    """Run a script in two processes."""
    launch = ['python', 'tools/launch.py', '--nproc_per_node=2', '--rdzv_backend=c10d']
    return shell(*launch, '--rdzv_endpoint=127.0.0.1:0', '--local_addr=127.0.0.1', script, *argv)


def test_ranks_stay_identical_and_one_without_labeled_images_neither_hangs_nor_dies(tmp_path):
    # 1 : 1 with one image a process: rank 0 has all labeled images, rank 1 all unlabeled ones.
    settings = dict(at_least_one=False, by_prob=False, ratio='(1,1)')
    options = taught(
        data__samples_per_gpu=1,
        runner__max_iters=5,
        evaluation__interval=100,
        evaluation__metric='bbox',
        **{f'data__sampler__{key}': value for key, value in settings.items()},
    )[1:]
    run = torchrun('tests/tools/ranks.py', SOFT_TEACHER, tmp_path, *options)
    assert run.returncode == 0, run.stdout
    assert 'identical on 2 ranks' in run.stdout


def coco_options(model: str) -> list[str]:
    return [f'data_root={coco()}/', *(option.replace('model.', f'{model}.', 1) for option in TINY_COCO)]


@pytest.mark.parametrize('kind, model', [('semi', 'model.detector'), ('baseline', 'model')])
@pytest.mark.long
def test_partial_protocol(tmp_path, kind, model):
    command = ['bash', 'tools/dist_train_partially.sh', kind, 1, 10, 2, '--work-dir', tmp_path, '--no-validate']
    run = shell(*command, '--cfg-options', *coco_options(model), '--seed', 1)
    assert run.returncode == 0, run.stdout
    assert (tmp_path / 'iter_2.pth').is_file()
    assert run.stdout.count('Iter [2/2]') == 1  # rank 0 alone speaks
    assert 'Seed 1, 2 process(es)' in run.stdout
    assert 'instances_train2017.1@10.json' in next(tmp_path.glob('*_180k.py')).read_text()


@pytest.mark.long
def test_full_protocol_with_evaluation(tmp_path):
    config = 'configs/soft_teacher/soft_teacher_faster_rcnn_r50_caffe_fpn_coco_full_720k.py'
    options = [*coco_options('model.detector'), 'data.samples_per_gpu=2', 'evaluation.interval=2']
    run = shell('bash', 'tools/dist_train.sh', config, 2, '--work-dir', tmp_path, '--cfg-options', *options)
    assert run.returncode == 0, run.stdout
    lines = [json.loads(line) for line in next(tmp_path.glob('*.log.json')).read_text().splitlines()]
    assert {'student_bbox_mAP', 'teacher_bbox_mAP'} <= set(lines[-1])


# Configs by what they train; the others train Faster R-CNN: 'faster'.
KINDS = dict(
    several=re.compile('[_/](mask_rcnn|cascade|htc)'), one=re.compile('/(mean|dense)_teacher/|/(retina|fcos|atss)')
)


def kind_of(path: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, path)), 'faster')


@pytest.mark.parametrize(
    'kind, number',
    [('faster', 18), ('several', 10), ('one', 10)],
)
@pytest.mark.long
def test_every_config_that_names_coco_trains_on_two_processes(tmp_path, kind, number):
    """Faster R-CNN's, those with several stages or with masks, and those of one stage."""
    leaves = sorted((ROOT / 'configs').glob('[!_]*/*.py'))
    paths = [str(path) for path in leaves if 'data/coco' in Config.fromfile(str(path)).get('data_root', '')]
    paths = [path for path in paths if kind_of(path) == kind]
    pseudo = json.loads((coco() / 'annotations/instances_train2017.json').read_text())
    pseudo['annotations'] = [{**annotation, 'score': 0.95} for annotation in pseudo['annotations']]
    (tmp_path / 'pseudo.json').write_text(json.dumps(pseudo))
    run = torchrun('tests/tools/every_config.py', tmp_path, f'{coco()}/', tmp_path / 'pseudo.json', *paths)
    assert run.returncode == 0, run.stdout[-3000:]
    trained = re.findall(r'^trained (\S+)', run.stdout, re.MULTILINE)
    assert trained == paths and len(paths) == number


def test_bad_input_ends_all_processes_with_one_sentence(tmp_path):
    command = ['bash', 'tools/dist_train.sh', BASELINE, 2, '--work-dir', tmp_path]
    run = shell(*command, *small(data_root='/nowhere/'))
    assert run.returncode == 1
    assert run.stdout.count('error: ') == 1 and '/nowhere/' in run.stdout
    assert 'Traceback' not in run.stdout and 'Warning' not in run.stdout


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'dist_train_partially.sh', 'slurm_train.sh'])
def test_scripts_parse_and_show_their_usage(script):
    assert shell('bash', '-n', f'tools/{script}').returncode == 0
    run = shell('bash', f'tools/{script}')
    assert run.returncode == 2 and run.stdout.startswith(f'usage: tools/{script}')


def fake(folder, name, body):
    path = folder / name
    path.write_text(f'#!/usr/bin/env bash\n{body}\n')
    path.chmod(0o755)


def test_slurm_job_starts_torchrun_on_each_node_with_the_arguments_as_given(tmp_path):
    # sbatch runs the script on its stdin, srun runs its command as the two nodes, python shows what it was asked.
    fake(tmp_path, 'sbatch', 'printf "%s\\n" "$@" > "$LOG.sbatch"; cat > "$LOG.script"; exec bash "$LOG.script"')
    fake(tmp_path, 'scontrol', 'printf "node%s\\n" 7 8')
    fake(tmp_path, 'srun', 'shift; for id in 0 1; do SLURM_NODEID=$id "$@"; done')
    fake(tmp_path, 'python', 'printf "[%s]" "$@"; echo')
    env = {**ENV, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'LOG': str(tmp_path / 'log')}
    env.update(SLURM_JOB_NODELIST='node[7-8]', SLURM_NNODES='2')
    options = ['--work-dir', "a b's", '--cfg-options', 'classes=[x,y]', 'scale=(1, 2)', 'name=$HOME']
    command = ['bash', 'tools/slurm_train.sh', 'gpu', 'a job', 'my config.py', '2', '8', *options]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert run.stderr == ''
    for node, line in enumerate(run.stdout.splitlines()):
        assert '[--nnodes=2][--nproc_per_node=8]' in line
        assert f'[--node_rank={node}][--master_addr=node7][--master_port=29500]' in line
        given = ''.join(f'[{option}]' for option in options)
        assert line.endswith(f'[my config.py][--launcher][pytorch]{given}')
    asked = (tmp_path / 'log.sbatch').read_text()
    assert '--job-name=a job' in asked and '--nodes=2' in asked and '--gres=gpu:8' in asked
