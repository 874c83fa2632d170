from .multi_source import MultiSourceSampler, SampleKey

__all__ = ['MultiSourceSampler', 'SampleKey']
