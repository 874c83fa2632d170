"""Where weights are found: the user's folder, torch hub's cache, the network, in this order."""

import hashlib

import pytest
import torch
from torchvision.models import get_model_weights

from ssod.apis import InputError
from ssod.pretrained import WeightFile, files, find_weights, published


@pytest.mark.parametrize('name', ['resnet18', 'resnet50', 'resnet101', 'mobilenet_v2'])
def test_a_torchvision_name_is_its_first_imagenet_weights(name):
    url = get_model_weights(name).IMAGENET1K_V1.url
    file = published(f'torchvision://{name}')
    assert file == WeightFile(url, url[-12:-4]) and file.name == url.rpartition('/')[2]


def test_names_of_others():
    assert published('torchvision://ResNet50_Weights.IMAGENET1K_V2').name == 'resnet50-11ad3fa6.pth'
    caffe = published('open-mmlab://detectron2/resnet50_caffe')
    assert (caffe.name, caffe.sha256) == ('resnet50_msra-5891d200.pth', '')
    assert published('open-mmlab://resnet50_caffe') == published('openmmlab://detectron/resnet50_caffe')
    assert published('mmcls://resnet18').name == 'resnet18_8xb32_in1k_20210831-fbbb1da6.pth'
    assert published('https://example.org/a/b-0123.pth?raw=1').name == 'b-0123.pth'
    assert published('some/resnet50.pth') is None and published('s3://bucket/resnet50.pth') is None


def test_a_misspelt_name():
    with pytest.raises(InputError, match=r'no weights torchvision://resnet52: did you mean torchvision://resnet\d+$'):
        find_weights('torchvision://resnet52')
    with pytest.raises(InputError, match='no weights open-mmlab://xyz$'):
        find_weights('open-mmlab://xyz')


def test_the_users_folder_comes_before_the_cache(publish, offline, tmp_path, monkeypatch):
    content, name = publish({'a': torch.ones(1)})
    (offline / name).write_bytes(content)
    assert find_weights('torchvision://mine') == str(offline / name)
    own = tmp_path / 'own'
    own.mkdir()
    monkeypatch.setenv('SSOD_WEIGHTS', str(own))
    assert find_weights('torchvision://mine') == str(offline / name)
    (own / name).write_bytes(content)
    assert find_weights('torchvision://mine') == str(own / name)


def test_another_file_of_the_same_architecture_serves_where_the_own_one_is_not(publish, offline, monkeypatch):
    content, name = publish({'a': torch.ones(1)})
    monkeypatch.setitem(files.ALTERNATIVES, name, {'other.pt': hashlib.sha256(b'other').hexdigest()})
    (offline / 'other.pt').write_bytes(b'other')
    assert find_weights('torchvision://mine') == str(offline / 'other.pt')
    (offline / name).write_bytes(content)
    assert find_weights('torchvision://mine') == str(offline / name)
    (offline / name).unlink()
    (offline / 'other.pt').write_bytes(b'othex')
    with pytest.raises(InputError, match='other.pt is damaged'):
        find_weights('torchvision://mine')


def test_a_damaged_file_is_refused_wherever_it_is(publish, offline, tmp_path, monkeypatch):
    content, name = publish({'a': torch.ones(1)})
    (offline / name).write_bytes(content[:-1])
    digest = hashlib.sha256(content[:-1]).hexdigest()
    with pytest.raises(InputError) as refused:
        find_weights('torchvision://mine')
    assert f'{offline / name} is damaged: its SHA-256 is {digest}, not {name[5:13]}...' in str(refused.value)
    monkeypatch.setenv('SSOD_WEIGHTS', str(tmp_path))
    (tmp_path / name).write_bytes(b'')
    with pytest.raises(InputError, match=f'{tmp_path / name} is damaged'):
        find_weights('torchvision://mine')


def test_openmmlabs_files_are_not_checked(offline):
    path = offline / 'resnet50_msra-5891d200.pth'
    path.write_bytes(b'anything')
    assert find_weights('open-mmlab://detectron2/resnet50_caffe') == str(path)


def test_without_network_one_sentence_names_file_url_and_folder(offline, tmp_path, monkeypatch):
    name = 'resnet18-f37072fd.pth'
    start = f'{name} is not on this machine and cannot be downloaded (<urlopen error no route to host>): '
    start += f'get it from {published("torchvision://resnet18").url} and put it into '
    with pytest.raises(InputError) as refused:
        find_weights('torchvision://resnet18')
    assert str(refused.value) == f'{start}a folder that you name in SSOD_WEIGHTS, or into {offline}'
    monkeypatch.setenv('SSOD_WEIGHTS', str(tmp_path))
    with pytest.raises(InputError) as refused:
        find_weights('torchvision://resnet18')
    assert str(refused.value) == f'{start}the folder {tmp_path} (SSOD_WEIGHTS), or into {offline}'


def test_a_download_goes_into_the_cache_and_is_checked(publish, offline, monkeypatch):
    content, name = publish({'a': torch.ones(1)})
    asked = []

    def download(url, path, hash_prefix=None):
        asked.append((url, path, hash_prefix))
        (offline / name).write_bytes(content)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    assert [find_weights('torchvision://mine') for _ in range(2)] == [str(offline / name)] * 2
    assert asked == [(f'https://example.org/models/{name}', str(offline / name), name[5:13])]


def test_paths(tmp_path, monkeypatch):
    (tmp_path / 'mine.pth').write_bytes(b'')
    assert find_weights(str(tmp_path / 'mine.pth')) == str(tmp_path / 'mine.pth')
    for checkpoint in (str(tmp_path), 'nowhere.pth', 's3://bucket/resnet50.pth'):
        with pytest.raises(InputError, match=f'no file {checkpoint}: write a path'):
            find_weights(checkpoint)


def test_a_folder_that_is_none_is_refused(publish, tmp_path, monkeypatch):
    publish({'a': torch.ones(1)})
    monkeypatch.setenv('SSOD_WEIGHTS', str(tmp_path / 'nowhere'))
    with pytest.raises(InputError, match=f'SSOD_WEIGHTS={tmp_path}/nowhere is not a folder'):
        find_weights('torchvision://mine')


@pytest.mark.parametrize('works', [True, False])
def test_of_several_processes_the_first_downloads(publish, offline, monkeypatch, on_two_ranks, works):
    """Each rank counts its downloads; where the first one's fails the other one tries, and nobody waits for ever."""
    content, name = publish({'a': torch.ones(1)})

    def count(rank: int) -> torch.Tensor:
        calls = []

        def download(url, path, hash_prefix=None):
            calls.append(url)
            if not works:
                raise OSError('no network')
            (offline / name).write_bytes(content)

        torch.hub.download_url_to_file = download  # in a process of its own
        try:
            found = find_weights('torchvision://mine') == str(offline / name)
        except InputError:
            found = False
        return torch.tensor([len(calls), found])

    first, second = (result.tolist() for result in on_two_ranks(count))
    assert (first, second) == (([1, 1], [0, 1]) if works else ([1, 0], [1, 0]))
