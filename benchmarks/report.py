"""What a benchmark prints."""

from terminaltables import AsciiTable


def print_counts(case: dict) -> None:
    """Kernels, waits and uploads of a step by part, a column for every contestant; then our most frequent places."""
    results = {name: result['figures'] for name, result in case['results'].items() if name != 'profile'}
    kinds = ('kernels', 'waits', 'uploads')
    rows = [['part', *(f'{name}: {kind}' for name in results for kind in kinds)]]
    parts = sorted({part: None for figures in results.values() for part in figures['counts']})
    for part in parts:
        counts = [figures['counts'].get(part, {}) for figures in results.values()]
        rows.append([part, *(count.get(kind, '') for count in counts for kind in kinds)])
    sums = [sum(count[kind] for count in figures['counts'].values()) for figures in results.values() for kind in kinds]
    rows.append(['a step', *sums])
    print(AsciiTable(rows).table)
    for kind, number in (('kernels', 20), ('waits', 40), ('uploads', 40)):
        print(f'ours, most {kind}:')
        for where, times in list(results['ours']['places'][kind].items())[:number]:
            print(f'  {times:5} {where}')


def print_tables(case: dict) -> None:
    """Each contestant's figures and our ratio to it; then the parts of each."""
    results = {name: result for name, result in case['results'].items() if name != 'profile'}
    mine = results['ours']
    head = [
        '',
        'seconds (least - most)',
        'CPU seconds',
        'images/s',
        'peak MB',
        'of the run',
        'ratio: time',
        'CPU',
        'MB',
    ]
    rows = [head]
    for name, result in results.items():
        wall = result['wall']
        ratios = [mine[key]['median'] / result[key]['median'] for key in ('wall', 'cpu')]
        ratios.append(mine['run_memory'] / max(result['run_memory'], 1))
        rows.append(
            [
                name,
                f'{wall["median"]:.4g} ({wall["min"]:.4g} - {wall["max"]:.4g})',
                f'{result["cpu"]["median"]:.4g}',
                f'{result["images_per_second"]:.3g}',
                f'{result["peak"] / 2**20:.0f}',
                f'{result["run_memory"] / 2**20:.0f}',
                *([f'{ratio:.2f}' for ratio in ratios] if name != 'ours' else [''] * 3),
            ]
        )
    if case['changes']:
        print(', '.join(f'{name} {value}' for name, value in case['changes'].items()))
    print(AsciiTable(rows).table)
    for name, result in results.items():
        parts = sorted(result['parts'].items(), key=lambda part: -part[1]['median'])
        print(f'{name}: ' + ', '.join(f'{part} {seconds["median"]:.3g}' for part, seconds in parts))
    if 'profile' in case['results']:
        profile = case['results']['profile']
        print(profile['table'])
        if profile['busy'] is not None:
            print(f'the GPU was busy {profile["busy"]:.0%} of the time')
