"""What commands of jaxgan do, as short programs in PyTorch, for `benchmarks/waits.py`.

python -m benchmarks.torch_waits prepare FOLDER     # weights, for the others
python -m benchmarks.torch_waits sample FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the conventional name
from PIL import Image
from torch import nn

LATENT = 64
FEATURES = 32


def prepare(folder: Path) -> None:
    """Writes weights of all networks."""
    for name, make in NETWORKS.items():
        torch.save(make().state_dict(), folder / f"{name}.pt")


def train(folder: Path) -> None:
    """One training step of a DCGAN on digits, and a grid of 100 samples."""
    from sklearn.datasets import load_digits

    digits = torch.tensor(load_digits().images[:64], dtype=torch.float32)[:, None] / 8 - 1
    real = F.interpolate(digits, (28, 28), mode="bicubic")
    networks = NETWORKS["generator"](), NETWORKS["discriminator"]()
    generator, discriminator = networks
    of_d, of_g = (torch.optim.Adam(network.parameters(), 1e-3) for network in networks)
    fake = generator(torch.randn(64, LATENT))
    loss = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake.detach())).mean()
    loss.backward()
    of_d.step()
    of_g.zero_grad()
    F.softplus(-discriminator(fake)).mean().backward()
    of_g.step()
    save_grid(folder / "torch.png", generator(torch.randn(100, LATENT)), 10)


def sample(folder: Path) -> None:
    """A grid of 64 samples of a trained generator."""
    save_grid(folder / "torch.png", loaded(folder, "generator")(torch.randn(64, LATENT)), 8)


def translate(folder: Path) -> None:
    """Every image of a folder through a U-Net, one at a time."""
    unet, out = loaded(folder, "unet"), folder / "torch"
    out.mkdir(exist_ok=True)
    for path in sorted((folder / "images").iterdir()):
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
        output = unet(pixels.permute(2, 0, 1)[None] / 127.5 - 1.0)
        to_image(output[0].permute(1, 2, 0)).save(out / path.name)


def anomalies(folder: Path) -> None:
    """Distances from the codes of images to the nearest of the codes of all digits."""
    from sklearn.datasets import load_digits
    from sklearn.neighbors import NearestNeighbors

    encoder = loaded(folder, "encoder")
    digits = torch.tensor(load_digits().images[:1500], dtype=torch.float32)[:, None] / 8 - 1
    known = encoder(F.interpolate(digits, (28, 28), mode="bicubic"))
    image_files = [
        np.array(Image.open(path).convert("L").resize((28, 28)))
        for path in sorted((folder / "images").iterdir())
    ]
    codes = encoder(torch.from_numpy(np.stack(image_files))[:, None] / 127.5 - 1.0)
    distances, _ = NearestNeighbors(n_neighbors=5).fit(known).kneighbors(codes)
    print(distances.mean(axis=1).round(3).tolist())


# ---- helpers of the above


class UNet(nn.Module):
    """Four levels, as `experiments.pix2pix` has by default."""

    def __init__(self) -> None:
        super().__init__()
        widths = [FEATURES << i for i in range(4)]
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1) for a, b in zip([3, *widths], widths, strict=False)
        )
        outputs = [*widths[:-1][::-1], 3]
        inputs = [widths[-1], *(2 * width for width in outputs[:-1])]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(inputs, outputs, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, 3, height, width] -> ` the same shape."""
        skips = []
        for down in self.downs:
            x = F.leaky_relu(down(x), 0.2)
            skips.append(x)
        for i, up in enumerate(self.ups):
            x = up(F.relu(x if i == 0 else torch.cat([x, skips[-1 - i]], 1)))
        return torch.tanh(x)


def discriminator(outputs: int) -> nn.Module:
    """Two convolutions of stride 2, and a dense layer."""
    return nn.Sequential(
        *(nn.Conv2d(1, FEATURES, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(FEATURES, 2 * FEATURES, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(2 * FEATURES * 49, outputs)),
    )


NETWORKS = {
    "generator": lambda: nn.Sequential(
        *(nn.Linear(LATENT, 2 * FEATURES * 49), nn.Unflatten(1, (2 * FEATURES, 7, 7))),
        *(nn.BatchNorm2d(2 * FEATURES), nn.ReLU()),
        *(nn.ConvTranspose2d(2 * FEATURES, FEATURES, 4, 2, 1), nn.BatchNorm2d(FEATURES), nn.ReLU()),
        *(nn.ConvTranspose2d(FEATURES, 1, 4, 2, 1), nn.Tanh()),
    ),
    "discriminator": lambda: discriminator(1),
    "encoder": lambda: discriminator(16),
    "unet": UNet,
}


def loaded(folder: Path, name: str) -> nn.Module:
    """A network with its weights, for inference."""
    network = NETWORKS[name]().eval()
    network.load_state_dict(torch.load(folder / f"{name}.pt"))
    return network.requires_grad_(False)


def to_image(pixels: torch.Tensor) -> Image.Image:
    """An image from values `[height, width]` or `[height, width, 3]` in [-1, 1]."""
    return Image.fromarray(((pixels + 1.0) * 127.5).round().to(torch.uint8).numpy())


def save_grid(path: Path, images: torch.Tensor, columns: int) -> None:
    """Writes grey images as a grid."""
    n, _, height, width = images.shape
    grid = images.detach().reshape(n // columns, columns, height, width).permute(0, 2, 1, 3)
    to_image(grid.reshape(n // columns * height, columns * width)).save(path)


if __name__ == "__main__":
    with torch.set_grad_enabled(sys.argv[1] == "train"):
        globals()[sys.argv[1]](Path(sys.argv[2]))
