"""The main job: real tasks through every door and all six functions, and the proof that they went there."""
