from unimol2_tasks.predictor import Predictor as Predictor

__version__: str
