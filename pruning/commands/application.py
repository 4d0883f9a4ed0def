"""The commands; what is slow to import is imported inside them."""

from pruning.commands.analyze import analyze_command
from pruning.commands.calibrate import calibrate_command
from pruning.commands.check import check_command
from pruning.commands.eval import eval_command
from pruning.commands.heads import heads_command
from pruning.commands.kprune import kprune_command
from pruning.commands.prune import prune_command
from pruning.commands.quantize import quantize_command
from pruning.commands.shrink import shrink_command
from pruning.commands.train import train_command
from sparse_formats.terminal.application import new_app

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
