"""The commands; what is slow to import is imported inside them."""

from pruning.analyze_command import analyze_command
from pruning.calibrate_command import calibrate_command
from pruning.check_command import check_command
from pruning.eval_command import eval_command
from pruning.heads_command import heads_command
from pruning.kprune_command import kprune_command
from pruning.prune_command import prune_command
from pruning.quantize_command import quantize_command
from pruning.shrink_command import shrink_command
from pruning.train_command import train_command
from sparse_formats.terminal import new_app

app = new_app(
    "Prune transformers into vectors an accelerator can use, and see what masks look like."
)
app.command("prune")(prune_command)
app.command("check")(check_command)
app.command("analyze")(analyze_command)
app.command("calibrate")(calibrate_command)
app.command("train")(train_command)
app.command("eval")(eval_command)
app.command("heads")(heads_command)
app.command("shrink")(shrink_command)
app.command("kprune")(kprune_command)
app.command("quantize")(quantize_command)
