"""tf.layers.unfused: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

Found: raised TypeError: Input 'y' of 'Maximum' Op has type float32 that does not match type
float64 of argument 'x'.

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case 14744b3ca998e6fc, divergence ea2e469de19e.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import base64
import os
import sys

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
xs = [
    np.frombuffer(base64.b64decode(
        "PBR3ex+Us0DoRMvjo7ZXv0It5wRJbhk/AASzK9bpXz/YYviKUqHCPwI19o/ezFS/yAAacR8g2sARZE6BIWAowJ"
        "IThrCT7Sw/hxhhdC9tyD/dV/cREHI0P5flImLg31I/lv3VnRWB0j/0tfTK+nVOQL0OTsJAN4Q/iScfpl0kcMDC"
        "/F0HaYaGP0vXqrtrKh6/wNoKcyfSRr/eC3uOlkqaP3xaDpNFomU/vAAl15LIakDAZA9NKLEgQGb5t/hOC5zAAD"
        "fAS1/91b/syixwwSFlvzJmHSL7TSa/znmsOOu/mT8KoKRwUsfJP1AP5WKl8xe/93WvMQbnzcDcGHAqrm5OQGQE"
        "Cc1J3Bi/4vHv3gs1sD+zHIE+SHM1P2hPQXaG5zM/APi4g5Mv5j8MUwi8FM9kQDnTBFl3bpI/+ReV6xvDcMDQ7w"
        "hGTQF6P+LPsQT/JCe/P3ykkwfTWL9/afHPM2qSP08WT4aJgnE/ErCFqtKRfsBo2nKZvt9kwGb5t/hOC5zAzIy0"
        "u7f6NMAk2lMI7eeVv3XIbbQkyik/RoBomR3ljj+2Qtn3qw7OP1zjE4IU62W/YaR3SdS32MBQjUfgjGYkwO9I3V"
        "+rzhI/iHG951DEd7/E2uowx5sMP2tSKKfaPlY/qtMqrcEO5T9S9L+w3YFkQL6RGb5TzXg/JDUr3hsmYMA0SPnh"
        "4RaAPyL8Qydv5Q6/2YJVYgGfOj/w/xszghKLP+IBdmK7z2Y/BDVPbZ+pasCSlstmrUNSQGb5t/hOC5zAFZszmU"
        "3pSkBiEpxgPW10v+TybRpy5iO/Og6MHSwvnz/UdAKCwXfBP9QVaO+l312/IcSjmRyo1MClMYdnI5VBwIZ4TaPH"
        "6x8/YPdZThyafT+GvX033nwRPyBrqB99AFA/xr3EhZ9a5D8kl0adk/5CwCt9jeCbKGo/nZ7Mn+h7XMBOMldWQE"
        "yWP/R9sl4p+xw/JHsH7VFuRz9RsLk9P2uQPz+MfYrLIWU/g/2h2A4LmsC8/BcgoWRbwGb5t/hOC5zAf+1T94j0"
        "YcCuro4e1wiUv8zMYiAFa+A+rOys3yzKmD/2htbpZB3OPzbmrHNgGle/NVUTJk4QzUAAOx637actQLC892aPfA"
        "q/hE1hxECnlL+J9R3ROcIjPwgnH4eIhVw/IFNYhuQN4b9AX9WNmLAMwDs3qopcaow/qjoQCggkWcCd6sF+Sb2E"
        "PzBCG6P87yO/INc67He2Fr99juU+1hCkP1egqSHytFw/zvn79r/VlsDIQqiZ86wdwGb5t/hOC5zADh/BbOKDM0"
        "AWvESJJ419v8wyWGfKqx6/ni/h1m2yeD/XrwTD+JTQPwojM+v6K1q/Ej1OhVT5y8Cy4Q1tB5lDQOSjloKqCSQ/"
        "g7h3zIqVyD+VlIdH93wjP4YNvHIovWQ/9kdJvwFG0b+AUCt8cc8xwJMjWOW5rZA/ziIi9gT2b8BXwiRWvAWRP1"
        "D6vQ0KjeO+5Tfax6FpVb9bU2YQq0qWP6mGtPpap1s/RgeG4EzupcC+AK3MrC1EQGb5t/hOC5zATVwCTeIoUcC/"
        "XfpKU+ibv6o5QJjB5iW/c0ECaSfgkj+05zQx4srFPyhmzJD/0HC/KtDx3i+3ucAGRhObiQQ9QJ4UGAJFQTA/wt"
        "FcbD4VqD9iAHcvzHowP+oARwjBPmE/Yq57+Ror6j8qUF/tzTdHQPGPuLa/12S/QNy5BlfvJUBWBIZWml93P2iv"
        "O1Zt+w6/byOdY5qzQL9BBi/i342VP4S7HCrFSXA/ZiQLu4BDgcCnTC2+xzhkQGb5t/hOC5zAknDAcmiJXsBm1N"
        "FmvVqRv2/QT+Jb/Q0/ELWDIfe3hj+ixeEuvbXKP7gJlcDueFK/YFWSE7TEr8CEmkzl+BFGQHbfaEoNZxi/C3wU"
        "1IrNpT/QLebMU8g1P4LvW2Vd4Fs/0ATn2I4Lnr9VVz32C7VYQAhY/CAuv3m/BLihiwQvVcBlVbuYZceGP+AxMH"
        "ja48++o7sq/l8/WT8eig8HWeaVP62KLMh7X2A/5O4DE/PtZsDGShffzjo2wGb5t/hOC5zA0R/1F2cNZEDE7NT+"
        "RkmMv9ZpmJ6m7SC/BmWRNc13lz+Gy19JAFvCPwIS1Mz3u2C//lfxGctpyMC24aRGTUJjwLbHJm6WEBS/EJB/Cg"
        "wUfj+5iTB3XtwxPwBD0KdOtlI/6KXfsM548j9eh+fRfd5aQJxnpV+zF5s/tZqREnotZcAqgZe4TbOiP6yp03Jp"
        "cBe/mMG+26i8Vb9Ign0S3nZyPwWjYUluF2o/lupyygeam8AKVoAj/AxiwGb5t/hOC5zAlsLq8lhSXUBgWV5xQi"
        "iBv/KZ8/MNMfM+gGD9sTf9RT/GJLFs7uezP4xaEjN/PDa/ntRYQpsz3sDqdjRL/PBSwExqoaDJtfu+Vmh3WbHc"
        "tj+8D0UfDFEuP8BW15zmFw4/GlpG9+Tq5L+LcFr24VNdQLbQHPXSlXs/6B7/DmfLKEAmGynDFSaTPzw1m+3IdS"
        "u/ZZ8p3y+GUb9auxsWXjKPP1q43PEynlo/htEp9A48gMAYvVMhTRVDwGb5t/hOC5zAvo/Nl1uBV0CUYWXqdnp3"
        "v3sE5+rNViC/aL7Bn7uMlD96z03MbY+xPz59XrtJf2G/JjC8Wdle38CnSm/nhWlNwBhQrvXAPAS/4XTcf8bVsj"
        "9GD7/k36kfP8dVsGZiu2Q/hRENorOG9D8vlk8gSFdPQOym2odRNYI/aNw+gCwkZcDLDMi/3FaSPxpI+E91LQU/"
        "HrtJiE+/P79+URYL1sGVPzSe3Zv7WFE/8UyHBo1kjMCiRXhs0qQmQGb5t/hOC5zAePDhzeiQQcCRMe3dqxeMv8"
        "M0VonPXSi/ko6A6X3Slz83E2fHGAHGP/mCyxLNH2e/P6G2WDGexsBuXO8IIwZXwNd0fAxALBQ/cGzEFk2nxj/K"
        "HzHOb50aP2cFwox/lFw/20d9o9LhxD+4Y9zlr5ZZQO7MwaDC6HW/a1UU4vZHbcDAr5LFgBiUP8d9A0PnaCK/h3"
        "TlQfKIRD/sUA439BulPzicCgiZ4C4/wTstZgwJj0AUJKt8p1hMQGb5t/hOC5zAEsoTJQVeXcBK0POMZmmbvxXj"
        "JZm1bCy//NpNsbRalj8wkZLNSciNPxtaHZwBrE2/HAP23E8axsCtWs6x7RpAwCxzmoqu7x8/upeQ//Mpsz9FuR"
        "5wiHAzP40MzUahGWI//KOc8gaQx7+gVuV7wUlAwFygsZKonXW/R2DnxSFgY8BAgcVBLjJ3v5iqRxALf/G+EucN"
        "ydBTUz9ecZhIst6GP4K8MYbBDGw/VIKzp1dBacAF4FiY1S5swGb5t/hOC5zAE0d1z/0SSEDOy5oYR1eKv0SoFW"
        "LYMOA+oxJHyFjQlj+CpT8wRFnDP62TNIX5EV6/jLjxZU9lp8DjpDFiVoBDwDyOJGSlLiQ/JwMRV3uooz9WKZq6"
        "miIyP/qxLCqwJmA/KMkC9lDZ2D84fB4AaYBKwIGV+KYCpXY/i86ev/pSXsCMOeO5EROfP5x7GA8xhzG/nnxhmC"
        "0mST8DBFJHTICUP/wDnbbvRlM/xT77rMzFh8DTON3xWjBXwGb5t/hOC5zAUnLNxDN6csBaVIhjYh6VvwXqWH7E"
        "mgo/KftD2N5pmT/keeKj6FnQP/rK2gkssU6/1hH7FjPg2MDQqpeD7l42QL3XwvRm/Q4/F/dr3Tvvsz9tzol0QF"
        "oyP3FILQP1hF8/nrUuF9dx7r+ENJmekD9mQHucorRUCJc/wmvWvtTNZ8CXV7ngtmaXPxRwfETG/gm/dKPo5UUV"
        "AD8CQiORDVGSP5o1EDVirl8/Oof46C/8cMDw01jLFz9CQGb5t/hOC5zAX8113VUrYUBvBXIWpueVv0A2aOdYht"
        "q+osjLbjPslT/ODCi/f+LPPyRK7FzoVWi/lyH4TbPWz8AjVGbSWfJYwMf8DJEZKhc/jrhb592Tlj8AL1FN21z1"
        "vtKm/W4vqEo/erfazZNE5j+AAjX7FpwkQNqBGVz2U4W/MEBTxL4kScBX488ioAaVP4cw/OBq6SY/JXWNXw9FMT"
        "8zVMvvdy+LPycEHo9ILlk/BsRtcdVJdkA+/Av0THlUQGb5t/hOC5zAZfHtuewpK8Cg3rcnwZ9xv1vp7ZN7Xhu/"
        "+FouQrL3lz8lhgSGeM/GPzgs5fRS60W/g7E8WOH+y8AeYTJcj3I2wMkY2s22bgo/DLDI8E9vpL9FvNihdKQxP2"
        "ZV4A9t4mE/NOJPvGZOwL+QFBz42M5bQNR7v/EsN4c/FHD2Q3aLWMAynmmMgXmRP9hs/61ScBO/ybc4C0GZW7/E"
        "uvAYpKWUP+4304pFL00/+AgGoueSm0Dbt0BXnONVQGb5t/hOC5zA+JmKPaMXVUCGdbb9LuR5v5xnLLh6ZQS/wa"
        "W7Us51kj8zLeVE917JP3QPiJrfwVy/ls7FcHdOy8BYvjR6Lc0NwOQnH2JmWvY++5vPpdmDsL/8759um8IxP7q7"
        "xxUbkVY/oW2aGaWA+j8oEiTu8iQvQCurUmffiII/dJn6OF8MQcAuhnl9d+SVP9Cv376cFBE/sDq8U8QVFj/I/F"
        "v8F5SbP2nFDytQFWQ/DzzbOKw0ksCqyr2O4MpCwGb5t/hOC5zAILMvXPruXcCitSDzn8OUv/hf9jvDfhu/MA26"
        "OyMtZb+CtjaVCXDFP4JCAdvicWK/MM0pA6CPi0BiC2OBLjFHQAXvfU9blys/SHNjDmUPyD+1T1URkEUoP+RrZQ"
        "whYWI/si9POeLF3r+heMjlUQdkQL+5rm4m6oA/NnadMONTU8DL6OJfWEOGP7zA41068QK/7nLwbbeVRj8bJfQq"
        "pIubPxXo5RLFhmk/lx5t0CPghcB6pwVYDEZMQGb5t/hOC5zAWmsD+8TFQsCYLfYyvFGKv2N0pwQTvQe/TLxMAo"
        "CYmD+9qjLs/LXOPxyOPAH0B1W/hEi7E3+MvcB01KwBhEhDQIgeUCyuFyC/4EVu75Nlwz8cDVAGNzE3P2wvOX1E"
        "7TY/9NLe3Sg41D+w3Fw3krFnQGL3StjrqXk/XP2sC+06ZsCsfYXAVcpzv7Aj6RCt/xW/1SpGjwbQRL84I4zWwF"
        "daP2kK3ThCaFk/LVYL02nwgkAQ1rNGY9Lyv2b5t/hOC5zAu2AAj527YMBC7R4vFCCDvz3mxGlGWBu/QIwV7UGd"
        "Zj84AlYSqYuoP3oB1VSxV0y/kyaMr/3G2cCauXN8ZzlfwGMDAUNPVA8/gnna81Q/mj8Aavh/rtAvP9DV02a5/2"
        "Q/8TYGCtVn4L9QMxouy6A8QB+g9wJsyYo/gBQ86q7B4j9pugh9+WqGPxKdDOFDeSS/Th1lbQhWWD8GLV2KJZxw"
        "P5ZaUi3MxFw/07JPJ0l4hkAHJjthtT9VQGb5t/hOC5zAkuKYb/FqZcB3m0cRwKKBvwVJPOCzMCQ/CC+nEwsxoT"
        "8M+RA3pZykP0D1up5kcly/GPDs70sHlEBePT8vPQFMQBiMvdpAI+G+mZuyTYT1wT9I2ENCHhg3P75zGYpVjmA/"
        "sErgwd2G6D82tVi2yddiQDpLKxAnJX6/UET5XJRhN0B6psJXTSCfPwFoIiyZuyC/Bo4u0jtRQb+6qbxyu6SXP1"
        "QYj+MdvUk/atnZMHA0dsDi18hbeUpQwGb5t/hOC5zAZmN/jEhfSsB1ENXunxaVvzRHq1cdHe4+WBtPSbVlmz8g"
        "H+RDdm/UP9O9q9J2g1y/sgYPSeuR0MAKfm37IQtawNieTXjCBQQ/HpFTe6i9wT+ETDM0KaUoP807wv551kY/SU"
        "0dNkuk9L/wdIElU/ZSQPYho+PYUnQ/gqy+QJsoXcBz7FzFNLGSP6gb6rGMqiO/NtQT1XmxN796ora0pPeEP68Y"
        "eLDbTWA/Xf1YNsvJkcBKmHB9CnNMQGb5t/hOC5zAlO7gjLIUXsDBxdrkORGTv4w1QW/jtye/gj+w1wV8iz8Siw"
        "nVUnu2PxIbghDxUGq/wkGvpeGfsEDy4xMIE3xoQGb3NdKJbyM/DLaGqXlRxz+o3a/LdGURPwXGfudka0Y/m81p"
        "x98b5j9o1H9+1UtAQC2Qxy78/oc/2uhG4i3lasBYYUv9DZBZPzZnmUJX0QU/7KyFr9CHOD+gjGjFaT1+v+TFIx"
        "zMEF4/3Q6WkZoPmsCIg0cIGWpeQGb5t/hOC5zA7Chm9u0eTcCMN89FfHWQv8zU0sDWf+8+yOat9vg2kD9yJLcv"
        "FQ7SP5fCu8QhvWC/wjpqpZ372sCTcFwY3xVZwByQFAIhUQ+/yuI4lw7Ivz8ec13YyoQoPzKO/nStzFo/VO1FFI"
        "qZ4b8CHwhH75tbQGSBMsDMpHc/OOwiPYjhNEA9WJWiNDCRP0CbjH0HkO8+uHUj7BUeRD/Cq4FLDsSUP/LvI3dK"
        "FnE/HtQxdNcidEAuq2oMxcQzQGb5t/hOC5zAgdyoGqqmOsBXTP+SRqqRv07wQh5Kdvm+IJZ9meBHkD/As98ku4"
        "TRP9jAzAWlFkS/0MRgRij+ycAU2+85PlE8QJDLW08TZu++YEMHurEckr/XBM+ii74hPyl/8EmpdFU/MH6x0jF8"
        "7L8I9veZL71MQG3Up7XQun0/TVQOyE16XcAk8uNgZf6KP4yNKlNb8AA/1LGcr/O2Nr8MR6wnt9aLP6Q59VcSlG"
        "Q/0DCW4BMIkMD2RlNOi4VDQGb5t/hOC5zAH6VKXV3jYMBFJB/GB3CDv9SLyQRTzxY/J1ngnSobiz/RIXYZEM27"
        "P3RyOhM+wkS/xgBW0Ah7ysCkMPQGbhldQISFFaXo4g8/WNRwTnv7cj/DchDv7w0jP7v5Ublm2k8/QLuZ8tXLdz"
        "/rmBKoXllYQGffNZcoSXA/8z9u1f97X8BA2cDYLpCgP1CY3ALEaiK/HI8IF9BZTD94EYDowdGaPxzncGTQOmI/"
        "XnyIqPuMmsBRpSY3zTVPwGb5t/hOC5zAJ2nYPk9EbcDl4XDuFruZv5m2dX1k5Qg/Vq3aQM1soD/eo0xoaX7QPy"
        "SSotfFEjy/94f6Xbn40sA0eDAUbb5JwJzXyuRjbhe/Y1TRweYdqT9E9Oc64R4yP6m3AphLwGc/RaXggIhgA0Di"
        "i1A+mddRwNM0WfLIHWi/rEQDjTDNYUCL4gFEr/KLP4oPyY+sDjG/rTX7Pq/qWD8o6nKmbrCAP3I8oTDbmms/vT"
        "kVjeTMgkByPX84rsNrwGb5t/hOC5zAUbQpI2QjMsDp0CM6xr6Ov3L43huvdgy/tEN9KUvZeT82qFeIneTBP7gU"
        "iY5MuGS/QX1wHNKB1cCE80KE3YEjwFDPD5qzbDc/6nz8Kp4gzD/lR1roEHoxP+pquaHQEWI/76OMgnhC9r+vyO"
        "oey8RKQJyFGepMNnG/nyo45TV0W8BqaCSLcB6cP8vX7qnaowi/nSUwQuDkWT/w/JyYx/RBvz9rPP8slVs/diHI"
        "8xv5j8DLyg6lqhtOwGb5t/hOC5zAfM8bh9hMPEApC61lSj+Wv42UaQv6KSq/OIACKBKnkD88+PjASAezP0diul"
        "WIemK/gegjJcNf1MD4xyGXmIUvQGUuPNW/hhY/ElLvrUykqb8WSZiSNA8xPzyo0Bo93Vk/MNMF4mSdn7/wEYF0"
        "UnljQPIXy4Pd5n6/TMDQbcb3ZcDU2J5MshZ/P4iKz1G6SuC+pEzJne9dRD+2s1LjuvORP64ac3Q/RGg/uKK3Qq"
        "0di8Ag8Br+9SttwGb5t/hOC5zAanGIxeyLVMAxK1hNT5GavwTItUw79Qi/AuJdQoehkD+0hycoK0mhPxzJBcxM"
        "tlO/v0Oqsc1Pw8Aasr9GUQFJQL0R4vAs7Ak/rPmZVpr2hj+KHeGidnkpP4cAnTNJC1Q/1S2wNI198T8L+v45RZ"
        "FqQGlUetJz1Zi/rS/sDxO7V8AdqhyFcYKRPyCL8rZm0tm+3WM2ujdTXj9aTE4LUpSUP6ywF8UOX1Q/gsmxi5tW"
        "ksBqkW4JqcpgQGb5t/hOC5zAkxeC0HkXSUDC2Lm3KTeev6+YFtKtUgS/HPecaAbPmD+LjQWD15LTPzgTBU8YJ2"
        "W/9HH42SA9yMD+jK8nSZhKwGRgDXcxAQ4/mW58S7JWrz8emTE55msyP2PVKWWly2E/YaQYasMm0D8crbjxBuxG"
        "QHy7OXyFc0m/TNY6JjXMQ0Bf0LD8pZSXP1x99+6eUxs/MBbkRy+tXz+A4XEkkwSOPw82lQS9FlU/INAf6eJgoc"
        "CsCF33apBRwGb5t/hOC5zAuLNgt0jAWUDYaWYaljSDv4Bl5pEkqie/eE7rO29okj8vqiGEmXW5Pz1OO28AA2S/"
        "aevxy4Cp0sCMI+1fT6slwPmJawpVhSo/7K3vomxthj8Q5wVgBBIrP9BpRy2E6ze/gMdBhfUIyD/is3Hik35AQK"
        "cmloDoZog/YLbzWc7YcsDAVit84Tkxv8hNc9F7/CI/UO1ybwrmRb+0pEz9rM+BP/TJPtivIGo/+m0c1xGdfkCs"
        "AAsc1bk0wGb5t/hOC5zA/IXYL/ouU8AUakevJ/OTv+Cp1svtwto+wE0HvQWQNb/Pmz8+j4TGPydrN6pipmO/fN"
        "Fu1nKuqcCsq+YYIFtDwHY6XOsKfCc/4BhgZdeGwD+GaWmVnXwwPzIJYsbSS2A/ab/nfocI4j+Geo0LzhZoQE5X"
        "dVe6JlK/OAxIXZbyOsBamc0j5aCdP2z4Oyi80wE/46CSVQTYVD91EA8d/xOZP4APSD3hbBi/yNPdeuX/msC9Rq"
        "icyvdFwGb5t/hOC5zA5v2ckr00O0BAW62surFjvwY7OLHOmyc/D6Xq2ilOiT/RcMz4zOvCP+y+KSKCEVK/gNEQ"
        "rGKcwcCdKJEFCBtJwIgSksz/XiE/yNuA6U6uyL+eMhyGCJsyP48AJ8iR52A/3PHTg9HpsD8Fs69mtA9BQHs9i6"
        "YFu4Y/mgHfvIcEc8CcF0XedOCSP7TNVutqQQC/Wxepl+jDVT/Str7xc7+FPxBhYFVi8Fk/6GLTNDruiMAOPDPM"
        "N2tXwGb5t/hOC5zAjRibOchqSkBU95m7kRWbv9RSAXWayA+/xSNAfdaSkT9slussysOkP2we7ZC/Hmy/lBKiBI"
        "2hzMCbNKbYB6FnQKPH8fNLGBA/+g0cm8hfwD9uCih3RaUhP2r1MYuDxlQ/8AtvuUBH97+Ur30XrThCwA6IKwVU"
        "jny/gIGDi1vYNMA0PsP8pB+SP068ATZbwQg/HrX2wdN6IL8sEe9AQYOCP1ooU4Q4ZVA/k8iErFwJoMBj9sC7dP"
        "dfwGb5t/hOC5zAjHctFXh4UsAwRF2L5MGUv5K4kachBRY/8FStkJEoXL8klg+cDwK9P5wBVuWIjGG/8cUFJOD/"
        "28AgqPiF/1E5QIDi3tGKCrQ+BDHQM4rdvT+aks4hogEsPyOrvXIG0Fi/vHb1s1ri8j/ISui4RggywGb/+0UbLm"
        "E/xymRNfbAYMBgtXkcZtNOP26Fm/nnZAY/3B4Za2EcTb8u95FYhEV6P1A+s98LTU4/GGa4KDM6gcAE/H44DQJM"
        "QGb5t/hOC5zAmlMRsxNcXsAEt/pFret1v3WVG0qDKCC/p/WscHqnoj+G/VaMQN+6P5j1k9L7MCy/mOMcipZW4M"
        "DghQktwXHrv+ng0vI7dik/0NAUCX7QiD8t8BJY9PMuPwjg0Is0cDk/3ACXDr6T77+6DcSF2GxOQAQa65NsgEO/"
        "MD4TzicjHkBsHJGjW0CJP8Y2VefYBRc/hJVcDhraVr/9GZo7NlKZPwBRiVO4mVE/gdPiu8IQfMBp4WV0l3xJQG"
        "b5t/hOC5zAhM6VHHQQKkDMYEU5FbKZvwXD37Ia/Aa/eKhzbZnIeD/EKfwkbg+xP6C4yXflCg6/M3Q7IlR8x8DR"
        "RRKlRiBawGkTYtbKVxA/wFijhelOnT97kwiNGrAUP9z+bGQ74F4/+wW1NqO59z/d0u9YF0ZaQIvHtFvIN5K/Iz"
        "BjkW4IZMDC4nyEQiFzP+ubPcozDBe/vCf96v4ZVz/uh/NS7Qx1P7TsQ20yPE4/dETebyOUakCURqLE/hg+wGb5"
        "t/hOC5zA3FfOxhG9aMD7N5KT5KOOvz1h9QLjRiq/VHZjzoZimT9y8lT/RhC4P4/SWO4gtWO/Q/F/ztCr0sAj/+"
        "0FggNDwGyZC226iBO/Ni/NJZ1Wu780SAVcvk86PyVTFXzoFEk/BNTSse9V9z8moCMU5MVfQABarkWh6Y0/HHKq"
        "ty7xZ8DuOgg1Zn+LP4IMhbmd9hM/WG4OWva2DL9GnPuPvNR1P85xN3xbB2o/H6Bt7QozkcAtMkTxfbJhwGb5t/"
        "hOC5zArkBqbpgxUkAkmud5MdGYv4L9us572R+/UFFQcM+MkT8Kv2UyKt3CP3lOnDjZ6Fi/kaeW/9Rwx8Ahgpgi"
        "VapmwNqLgX2rGh8/mM0J894fwD8vaEWK8QM7PxVtM8w6b0c/gK25BMgY2L9RlY9BSsRMQKbKcx9LzHK/Xw+MTq"
        "+2W8CRziKM4B2BPzCXD/V9W/w+KnPUObrJOT9TiIyEn46aP3hMyT7nSGM/oTHj5yuVoMCnWvm3uxNiQGb5t/hO"
        "C5zAdDMydeqtQMBgtUfSlHSLv/B0iSoeiBG/ruNA6GQDnD9GSHO2eE6zPyZmF0PCkEq/v6KMdRJrzcAKVw7XKU"
        "tOwKqgQ0r1SjM/+SPd6Rywzj+HZeSi5uQvPz4VcgX3UUc/YLw/NyHVkz8tVVkPzo1YQPrjkmC/w1g/iP0H5Qm1"
        "T8CKpoTsXDKJP/egGT+JyRO/YV9uh1iARr8xuyCdJYKcP35gKFPyqlU/NZct4pG+iEBaaZDQAwpaQGb5t/hOC5"
        "zAiVwO4J/jY8CbEmv62MePvz4tEjUEBii/wCebOITqnT/I2wrvSVO/P40Mru5GrVm/V4TvPEkSxcCIRIfd0YcJ"
        "wNS1lHHSqik/Qowem24ytj+cAfqiqMcEvxRqmzfc02I/6Dc5qUzAAUDwGOai2/hjQFLaE3VEL5c/aOfdcW1nbs"
        "BICa/uRx1+P6JcJXeIDQU/TlFIO+eWWj9+QYhpTAKgP7AI9LO60GE/uwsWghtAqMBurRdnO7QNQGb5t/hOC5zA"
        "OHFRqJflXsBubtnpQGx6vx4hxJ/BZP8+xlhnN3FEoT8nHh4V7RLKP8AJERTU5zK/B95B5xSW0MAKgW6KQiROwD"
        "1QBc1nbyU/VAud6NpDhj8g/PRDcP8sP3aipldUkGA/FMSks8+B37/w87PBFm8gQBCzs5TCE3+/UMj60XioJ0DR"
        "8VHRpbmWP8TIu8sJVv4+LiH//1zETj/iGffBnRiHPx2rjtmXD2M/VCB+lJ5/dMCemHfiOPxOQGb5t/hOC5zA8q"
        "EGOJkOWkBjR/O4y0iRv8EXWoXoSio/yExkdTdsYj9BrcDsOyTZPxlDguTqrle/hgiYdDDvtsBVsvidn3s9wG6j"
        "V8BAlDE//iZIDraRsD8q3UW38Y8rP6o7eoFrc1g/sA0VZ1eSk7/GxODTKV1lQHKkyehkR3i/ckyfALfZQcCmwl"
        "PgM0N1P9uJfSHHlAC/IC69xfKHOj+vULNc66+gP9hXoNGeLmI/ecaw+Q33fcBZ1u7lZbJlQGb5t/hOC5zAaE0K"
        "7MUIX0DKgzb+/JSEP3bNRk1GKTS/Ehwqli2pnz9+R/HMmcfCP7LU9CBFila/UkY7axiz3cCjIcvT1oRdwOb4gl"
        "Vi/Sk/8K032J7dm7+IGE7YUEwbP+Tovzxro10/9Gix7JBs7j9Yfwg9Ekk4wPJ45e9zVX4/eBTSArXbasA4E4K/"
        "wc+TP0QCScGeeSi/oy3TECUAUD/qBRMzBRiXP/DHkkvaejs/5lT/Hn+9lcC/kFRyk8VIQGb5t/hOC5zAgm8i9y"
        "aWM0ABD24bwTSYv+wLNxkXmeY+cs4ak36qnz9KmNSzWL3PP/jB+N2kwWe/bYDctWBp08Bs/AibXLQ4wNNi/DtA"
        "Nis/nFpWQVhMoD/YeEV03Qg3Px7lx/lBUGU/JMawVyF66j/c09u0ys8wQImQKjBiqoo/thXlT73/U8BC5NQBgH"
        "WIP5q9yW7bVii/nSGd/JWnSD+kpkzHai2BP9FvzPxAfVg/KaUn74ytk8DDPioF8yREwGb5t/hOC5zAoTi6IWSP"
        "Q8D2l3NR+2KSv5JSMKwLTge/mAJvo4agnD/82QBTGkbMPzxTuC9fc2a/aN/EUEoS1cBg4u3vkGv4P35aSpRGIi"
        "4/dqnLJcyoq785xnEuqfUjP7CmqexF9FI/c63TdrDm6T8HTA5dJQtbQND7ScSsKXe/MJ65KJsPQUDqC7/xcbKV"
        "Pw36zdz8fSm/rlYGKC1OIr8WHWG1H9WgPywQq+B55VU/DMe+y6hmlMDpb5es7xtWQGb5t/hOC5zA"
    ), "<f8").reshape((12, 2, 2, 8, 3)).copy(),
    np.frombuffer(base64.b64decode(
        "XXB9TXs0s0AcrpHaatSEv7yP+32YSha/PHYa8K5Rjj9sZk1W1/XEPwA0JIc1Yhe/mstabPnH3cAwBAm6N8ViQA"
        "44jvci2Bk/6izmLIiHwL8B/IVLJy0rPziE9lEM/zS/QB7+u0L51r8GvZHlIMFlQEh5I+1euT6/mMf2c+XWPkDI"
        "vJDidI2SP1YPCQkKQgy/eRwEQt3DVj84kA7LZDeBP7c0RRrPVGc/YhPe1mu2dECrE/6Fja9XwGb5t/hOC5zAgO"
        "GPaZB5QUCM6UCneSB0v9RjXNED7RS/JCdYcitFoT9uD3+255e1P/VJ/i4AQWK/kjP3lyL5tcAgXwubP8lYwIF1"
        "AjbSsgo/82TaeXKcsT/ya3EH5LUdP0DY8DdxAUM/SNWCJDPj1D9TJvniWspWQIr2b4VOjYI/PIHWH9PkYsD/0b"
        "6r4VWWPxg/debhSyG/UtZvoTLNUz8SsYsWVteMP6yUoMbLl2A/HUmCGwj1kcBOEPoOsUI/wGb5t/hOC5zAsD2A"
        "fDp/QEB6GEEBiS6Sv5qRhqkIAfU+ItTk+z7znT/ttH6rYD3EP51Q1jaHS1a/3hRUlsJTx8A1YqxyQMZrwLBAzU"
        "uh8to+T/yM6K6fxL90NPqIs/cvP+apDO8lWVg/OKM2/sM/oD94GRJhDts+wDfy4tiB4JE/dCs6ZR6bMMCU5Rs1"
        "CP5+P5oiOKbcEzG/toTAylzPIb9NpWuv8SiQP+Ygg+GwmEg/WwyvK9Hbo8BGMx2bKf5TQGb5t/hOC5zA7d6yvU"
        "ReSsCdM/kIimyNv74NSexEZBy/ukFFBWcVoD/aIFl2/sG1P+bGZVqxrGK/snrMQQE/t8D80SwoP5svQNq+fami"
        "YiU/mg+1ELl2w79P7wEkx1ccP8ziHDdxczs/6TJfE3Bw2T9QGduCG4djQLQcaZlleU6/5nZZzKloTMAw+EgxBZ"
        "aDvwvt0C+uux6/BT8U9DU3Zj+z4uZnxSuVP1QPg7Sp42Q/gL2QZu/GhMCaBwXAids8QGb5t/hOC5zATCxOYAi0"
        "XsCk2gFJeFCXv+HYVhfu8SW/Vxx5wuztmD9GVp11pfPPP3qH0U78KmG/b/dQlTiMxsCAVv5qGnZTwJ+vNfVkdC"
        "4/cHK2RCxsrL+2O27b7GA1PxoCJbL00FE/YXQzOSND6j9evcFcia5DQJqvuHRV8Yg/IAgVfLbtDMCsTLQif7x8"
        "P3Itt1NcTRa/RtrwVWYnO78e5QXOHB+NP1D4aKRId2c/cEo30gcZc8AyRQHqsjdQwGb5t/hOC5zA3IlADvczUs"
        "CeBS48r7OWv774J03Y0yS/WmTl/BYzoD9A8zfFS8XQP6rsTUZnGFS/H2uctC5S1cDNDcSPDzlMwOjn5B/MTCA/"
        "LF8sYJa5ir8XbVvJ+fUyPwCjhnreJPM+mT79+DeD8z9f6XMyo2tYQKD22UWIEjM/0IKjWdi0OMDmSmKdLiOMP6"
        "sgsRDXNwC/ogg3FftBRb/6NkZezjuJP5LXOnuuImA/sPYvxL8eS0BFeEtRnWNbwGb5t/hOC5zA5ebF8OcjSEC+"
        "S6kBWdyYv60nBJlzxyG/UB+QHIOTij/4y6GuEY6uP1eUmlo5ZV6/WnGeyM0+38C/zZxqWnNjQHAwDMTTz+m+lH"
        "swOLmAtT9bEBOSzuYlP9V2JCUNDGw/RAlIixH53b+w0s+Jq3ZDwK3iHtMO9WO/pBNWYBfyccDC01QJOHV3P4CT"
        "fU/0SRc/4Lvx38+T5b7S7E29pFGEP+wN9ovpXGg//mqcY/bHlcDjB73prYZcQGb5t/hOC5zAelU+oteoYcA4Mw"
        "Ugm/ajv9QycJZtce0+YjMXJbTNjD/Bz/Ss0HDQPz7QC1FrLl+/wcsiQEwZ08A4dV2AqFkEQIx9XBX7RfE+j/ET"
        "gf6FnD8sLN8YCcAzPzYcnlgibWA/qKh9YMegAECUxO1PeDwyQC17CLzLJoO/CgZBk5JtTsB42+BXu/SbP22+67"
        "IRHxa/1rJuJ8bzUz80xJV8/VBlPwxDHYdQwl0/BG/71s4uZEBAWZBmamFbwGb5t/hOC5zAo2Ai/JjVacA/kn9U"
        "4kCWv1AEOuJeBiC/U40sOqyhgD8y4kdaAZazP+et6FOW5lm/NO8w0cx7x8DA7tLOPqRnwJpy8h1cNhQ/32Swf1"
        "xpzT9nb+mo7UouPwm7em25uFo/aL+PB2N27r905bvME3pPwGZxJv1ONIK/1DHE7xEsdMD+AZLzzwKWPwhVquK1"
        "8+6+NOQxgat8Yj+QGF38r0maP17WmT3XI1I/tQwTsXG1jEDIqYccSpYCwGb5t/hOC5zA0JM5EHAUPUCamiTU2C"
        "qYv1rzAitrbvK+tUaZTBTrjD8YGNxgGjLKP2DBU4alTmO/ECouw8I6v8AIiF8+W7N0wPDvPhmrr/e+5wl9n3Y0"
        "xz8miPZFLwU1PxNAsuq6c2U/+eyfrD0u8b/gH0GHl6sFwMGnoJBCZXo/i3BtxdHYZMD7Y2qJGCqgPw7VcXGnEg"
        "A/2EYomI26UL8s9vB7bfmgP1XjOu1ISl8/8zfJuZS+mMA+yepdZaVTwGb5t/hOC5zAiqlpGEgWY8CSZuKq1ep5"
        "v/NypZaWzyS/arT5Jt30lD9Nn7TZLZfGP/nmxp7dI1i/gO57mEcp18C+/juqDuFpwN7AbpG9zTI/QsygtpP0u7"
        "9iBzA1M/MkP05oSEuvREQ/BrcBhKp84T/Yx/PiZ4pjQNTEwSIosES/WJ/u7+rgPcAU/188VK2RP4atGd1uxh+/"
        "Wkt5E/h+NT8/DD8D/kOFP1ay2Rtlg1c/l3Sk0W+pjUCpAKx9KBpVQGb5t/hOC5zAK+3Lw2n9YMARt/D7DB6Kv4"
        "C1WbiX++U+2AS/36mwoD8EvEI73xDBP7gXTkx+hmG/IdWa/uH81MCibXLgmzJAwE1fuILsri4/9MO6oNX/vT9O"
        "CsZK1K82P7uMO4YdG2E/E+aYzXLm4j+sGRxwhUo4QHM/UPzFbZI/vENFmSl4TUBAQlmoXLdQP/pL78rp5fG+BP"
        "sbG1JpUz8+0VMMkGF/P04SmBIr808/6xYAr+KBhsCrb5S/YuFIwGb5t/hOC5zAgLb46ca/aUBA8joua4eUvxVB"
        "w5EZZgC/0Demu/HAU7+cjSYRX9ypP+hwl9niHG6/Lv+hICPIzMBY8OnNOWJDQJTXC7AwrhU/GuxH40aGsT+iF7"
        "Lx9d8zP6N85vQFOVU/s6FyCoXG9z9CO91udsttQPJyDK7+E3k/7pzCI9QPWUAwE7FNG2mFPyo/3gP2WSi/TMiB"
        "inbSRj8cgcWkjaeEP/Cz+sb33Go/auZ2CqLWnsBt4FNuKRxIwGb5t/hOC5zAY49j9qh4KsCAjLozmxAhP7Jc6H"
        "LpwCq/U2gzxNT1lT9Q1DATtWnIP2rEYChHO1+/kGIwHI2TyMDugtVJ3WpJQBzVucL4/vy+UCTed6alyD+zUCzX"
        "NfozP+6boUXmWlY/GC4e9c4U1L9GhHnbshRsQOpXzCuJAZk/2PSEc/2nOMCBrKhv6N6bP8poRUeezyO/G0RVR7"
        "s1WL9ARlMeNQeOPyqyC3cPR04/8iqPg1lln8AJh2jBHZNqQGb5t/hOC5zAywx/iR30QsCmQdUnWk2Xv3CHh+E9"
        "IsG+EjEOlXo6mj/0j1tlnIjNP3FXzeLwylq/0o+kc/QS08AuZtYBSOJJQEj0PXbOURI/CFA2AqXpw786qVxjQX"
        "U2PxPegc8732M/LBhwtwhR6L96W51f1Ns+QFRMDj34UIq/4FoRanbUX8D8PfoAdtaZPwLzDTVktSy/DpzZLjWj"
        "Wj92rXp1ypJxP6NGcdXK7mM/hpZj4q9FdMCd7+UfDrRBQGb5t/hOC5zA9tXySklrWEBuTq6s51aav19SfyliiS"
        "A/hhBuGl9KkD9W5q2N6SrLP4Jw1KrwbWa/Wep5AT0y1MBIS4fCSsdCwI3C1JmAryC/UuGPbYZkyD/qJt+OMO4m"
        "P5ZiVE6WIkg/OWLoE/f65T/0fM51zEcwQN560G+Fxn4/d1xG6Ew9UMA+/gTEwrh6P742CJzcGyO/hJiEmEZgCz"
        "+Ghzwp1q52P4p8jwz1HmQ/tzJXzMyPksBUwDeoeW1nQGb5t/hOC5zAAvRsWGMBYcB+uIut5KZwv5NGLhlm3/q+"
        "6MWH5Z+rlz/YpAdBAzqnv8QIpXE//F2/vmN8aG3hw8BXta6XVcFlwD5BhtRVsQM/4ozw5cZWwD/BthNU6KglPx"
        "F3gPhIKFo/Oshac+aU2D8EVCElYyJmQDIE+DJU4oi/SEhxh3MBWUALi45AfjuTP6zryaD6zfg+O1MEdi2+Sz/x"
        "XuCbjYGRP/ZUgkGn7Go/VCZilf22bkBrIWS6hPheQGb5t/hOC5zAPsT83z38VsBoCsVCrH6avwAaxjIkwMY+gP"
        "6ey/USOL+omUEHp/6uPyoZR6elYWy/vA3n+jnW1sBSA4glQ+ZMQM0r1WfjjRg/UhWCV9vUxT9IK5InM2bxPtpf"
        "+3pW9Uo/IIwPahoDrz/WhO2rrsY8QKCx0fLGVpA/+FfEkan+XsBQv4Yq2Opivx9PPEYAiBe/WAoeTzfPVL+I7T"
        "lDg6Vwv4w4awMstWU/ZcC5lNwthkBFwJtyILZdQGb5t/hOC5zAqVSx8SEca0B6aGOURAuTvxDsYFZ9MiK/mlPQ"
        "+SXymT8bA6f+2R/CP4T4ZcQaOVS/trRE8LpGukDOcENmIb9jQLCX7sY++QK/rmujUgwOuj/Qai6e69IoPzxAkA"
        "HtA1o/vIWOXNBwvr/OOJYskFlOQJl6qeDZkWk/62B6mDKYYMCYCW8B63B5P3owM9pXrSW/wGU7ik8YVT9esD9u"
        "z2aRP/HAw8fCT14/YERaXg39n8Cjo//ksgRjwGb5t/hOC5zAUs+5uQCKT8DxyI3QU/SVv0Obz6G0USa/KlEi79"
        "wrmT9vqtJ1ZKLRPyMgWT9iF1e/WGIBc75oxMCRuAYPFNhiwMi1VmGsLCs/NGbDrWXgmb/3dJJ0pScdP9N19czJ"
        "bVG/OmnMc4+M4D/AZk5TGpAZQOhiNIks5H4/N21VoDHcTsCVrx3yAoKXPyN9CsM2QyK/EvUJOaCoKj8aD1Cagp"
        "eTP4gL9Y5yJkc/fHoJkhwJbsDH55XigARTQGb5t/hOC5zAWL3wOwU9VcCtkPfVNnuYv7/x3epWQyq/+3XjDu5a"
        "kD9ODGH6hNXLP9SOoM9J7GS/lngsyYDB28B2/NfnIcwpwIzpxEFkaxw/5DecHvv2xD8mUxscnrgcP/fuCjYPIF"
        "M/YlLugh5D+D+wI6UhyLIbQNvD5y5hYma/WmEsDz3OdMC2K7OtbviMP6iZZoZKSBA/0tyD85RUSL/wih1E6DtY"
        "P6c3EFtlslc/aHgXH9VXWEC2w6NhnnFbQGb5t/hOC5zAlC/Klu2oQcA/g/PIGQOQv+/2GzDyqC2/wsye07EMiD"
        "8xewJyZTbSPyE7S4dzK2O/oo2FLheOzcDwHXpH5s5AwIikjwJbLyQ/rOGp53ndor/yAg2ibsUeP2s6HKnb1EU/"
        "3SdOsKDe+z9EXpeE9YQ3QB2Zy4nkfWO/B3XSsvN/VMCsgvE0DsGYP5KOu/QPNQA/cNMhotO8TL+wsSzRvZ5+P+"
        "EX3WItUlw/DPE8qrsEc8Dsoij5pfZlQGb5t/hOC5zA/0zBZA7UYECIo0+VNvujv2gUuqpME/y+3IYzXMJigj9l"
        "wX6Z207JP1pf+dbN4GO/pmU7t0SZx8Bc/XhZ09pSQAWILuuimhs/zU7hsWeDpz/wibcq7IcyPy78ePOKw2A/CC"
        "aEMBECsT/D7qtW3PFbQBbJVG5QnlC/uEaqMV9YVMA2mEYUbFd5PzsuagR/7RG/DOqo8qlIUj+igZ15cemDPxTv"
        "1xQaRW8/8K388gQEm8BU3D21Tk5FwGb5t/hOC5zAaUep4MQgU8D24QtpU6OZv1q+QSTUDPk+3gv69HzgfT9Yvb"
        "yB/s6VP4iv0/hIoDO/F2g2672MysCkHRBCLlNWwEEskKMbXgE/Vm2iXPius78Lf4QhO3QlP0M9b1WmZlY/eC02"
        "TJkJ9j9vAYJaSANGQFD544D0HnC/QA85mwOKU8AopZvVh9yFP+Amq4HEG+M+v5+02GxGWj/ALcoYTPaPP/7eDT"
        "tzGGI//ZUNDNfkk8An8iwAeZRjwGb5t/hOC5zAESjnkGOVUMAP5gYB3fCVv42nf0W0QPy+hN8JSCkijD9Q58RZ"
        "VqLLP9f9G/KGe1u/in1AXSRry8BO0yO3B/83QGaXbJdrYRK/pDzCPhSzxj/wSsKUBaA1Pxb1JpZzzk6/VtQyoH"
        "mN7j/ByzM9H+JXQIhyoxITJ0A/0keFPmZccsDspkvnFxSiPzTvPRB2lya/EAEGxEEJUj9SpRvpBByEP22j1bFO"
        "IWY/itmXo9mPi8DsULZXtZM9wGb5t/hOC5zAsCi8VdMNQ8DFF60GnCCSv+juQk8/fhE/RAcSaWKThj/6LNmk4M"
        "uxP+Zuc+zP2Eq/EJN1RR1e0sDDTip0XbRbwFKXeY7ZIQs/VjzMUck9oL/MzSYgGCEPv9VAKVQRJlU/Ogv236S5"
        "+7+AYxe+K2RYwGSXxe22Wog/pvCF6CliZMBKd11jjS+cPxvzpOG6+yQ/xuBr04uAOL9gl4kNc4xpvziV5fA+B2"
        "A/rUifbJZWoMBegWW+vB5bQGb5t/hOC5zAAEBdHSdWXMCossXLEEZ/vwJvY9uiJjG/TWM6qLmljT/0yjNMa2bH"
        "P4DDIJ3hlQe/tpzDG6q4wcBM4fFN3bUyQODNYV5DWOy+PL9sV/1+tL/YOI7hklEFPzYe0NjhZmE/8tkVdwRB/7"
        "8p9wxJBVhaQFAuaaIX3HU/uLmDBEK8P0CO4Jwq7lGhP38grKc7FQu/4JdSaSrX677FRCfHlkWePzpfKSuONVo/"
        "YtCvlCfmlUBE6v3CGmtaQGb5t/hOC5zALiV1BaRnY8CG374fEuaJv1DBpAOC7Nq+sDegTd6sXz9LmNIWd+HNP3"
        "zOlaTXU1u///I3sfJ0zsBr8OkZ3epnwEWoLj8m+SY/0JmbznDcpD90osQdZ20pP2T2mjSdwVI/JtSf0Twd679D"
        "tBsD+Y5QQCBZT7m4mn+/nNBgMMmZRcCmfz5HAzCHPwy7YSowEhW/8SUqJsXpYb+ouLJaESaDP7dpeGTpFWM/QI"
        "/Bc0quq8BUoVXHA4ZlwGb5t/hOC5zA5FIgowN1WUB0GBdtMFWUv0uLaq2mEye/lDlACO7ZgD+cPElmrUK5P035"
        "U1RV+ma/6lMcljT92MDqiuq6+uZqwKnwhAOmny0/KFfATa2hjb9bPaz9K5ctP0ME2AoNslg/JKGU+jh19b8CA+"
        "Cr9n1XwNKVlAMHl4W/+t5Z5iinccD0HU8ZcYSVP8D7pEle0hw/s60z96OjQL9+RkauvCmEP52Olktf4lU/CVVY"
        "URDEhsC2KHxMMwxMQGb5t/hOC5zArhXI31s4MkBHTfKh/9uZv5TrXXjzD/G+gPIp5HUmIT8YSiJv2MKeP+Q5ub"
        "Se42e/2UMF2f+jysDYdh+RAJdUQECG2HF8LsE+yN1a7QIBgT9A7u+i8cgqP8KGVRylr2A/DUFGGvq19r+Z1Uhf"
        "40NCQJkZpbaHApA/GBWFV8rvQsBCwWfWzgSbP0gVJYllges+vNHjKvXQN780BXtKApVrP3CB3vmDgWo/OP9AsG"
        "S3UsCG4ZtCaA9QQGb5t/hOC5zAxWaED+SrIMCJJvc7y5aWv8Ir8B9etRa/0VEwuTk+mD+tWvCbYLHQP+BO/TJV"
        "JWu/IxF+A9Rm1sAMR56HuBBeQNI2BG/qIQI/jGlHUuShpj9O5Vd+f30jP6ZpLSaNfUG/IfnELVZR3T99Y7F2pB"
        "dRQOKgeh20BZU/T1DSZ7TaV8AGiGR+gaylP4jiAtPEN+Y+IA+fQFEVUD8g+mMnr5aRP9qn47PhSGs/2K43cY/n"
        "j8BAVVajsp1SwGb5t/hOC5zAqtFXKWahQMBQjRuO+h2Lv6VVFykTWgw/eEQOeeTjkz+YPKClsb6cP6XfDkSEbm"
        "i/5ms39D6OwcDQ8i9GqZVaQPBrypfHjBY/FqRIjKuTrT/wHZmTimM1P/YjNl/zkEa/BdxJYOt42z8w+siqeaBh"
        "QCJFrY5G1X8/4HlT+j7YVMClp50IglWCP1zXZH2fFgc/XIFmab+kQj/spdWKsHuHPzS1+e5bUmY/YG9ImxsAm8"
        "Bv2r6CZzwowGb5t/hOC5zA3twrmxqvQsC7kYrBy6KQv1blMlb4cRa/ZkISz38PcD9SxmJ837LNP8C76rUalUy/"
        "f1M1ASAe0cC5zWnOmiZTwMTjB1RXvBu/SVxcY2m6sT+W7csVUxMiP16VuUWV02I/sOnewiF4+r/Yxk5K66srQH"
        "u7Y3YsHpA/GeDH+PnxXsD89nVtYQmbPz5OLaDMAxC/xNgy9ieAUz+Q6gZp/IBQv1SqShrCLGQ/UANZBiFhUsBt"
        "zu+eDD1bwGb5t/hOC5zAycPgf//OR8AWCGrrDuWfvw7ga4qWQAS/zjfCvNRgcj8DQcy9ddPEP88akKORB2a/Js"
        "eBIWAjwMDT2UHvoS1YQFRd51LhkSQ/4pAqqX6awj9k3vptKek6P9QRgIVaAVM/AN6N5SyZfL8csHME6Q83QKx7"
        "2xfxmEw/Wsk/KkxwacByQPm56p+CP/7opl4Xpye/KuqVPlWQKr+0ARXoE8NyP3zDJKs+pGM/HFr2wNruosCaA0"
        "ou4ak1QGb5t/hOC5zAoeSKHDsYRkA8Vh+7wtyZv4+1OtvhIiq/7AQZWqKAcT9sVpV6BbrWP/fzyJ4DJ1y/RdPJ"
        "Khwy0sABpLQHJVlnwHynno6OngA/1yvJVQHqvz/Yv9UTr+IvPxd2F08vLVw/QJCiW9bn8D9EOLXvGBBKwJz3c2"
        "7mhUK/7gYvPVQZcMAoVkqZURWTP5HshLhs5h6/hF2DVgR2K79O95FuLwmAP/G9u0haLV8/JszbFMNRqMALGroD"
        "5XhoQGb5t/hOC5zArk90Ce10RsAroSkT42CYv2ArIMlo3BO/L2QmuPHtgz8SN1aWdnjWP0rVmXhE/Vq/bof61w"
        "AYxMAaGWRywnk/QJexpJKNVjA/xOvu8AuhkD8DK+vfEUcgPyBgDjrTEg2/SDtJSBC03T/GDPWNFeBmQDpzf25C"
        "H5G/W0v4lRjCWMA4KJjG7amTPz7oI1AKgQc/+b1GJRtmUz9AXDsTpyNvP/mDr0/MLFo/PVmdE7evgkCA/V1VsO"
        "VDwGb5t/hOC5zAxP5ccbvHPUD+cQgi+ByAv/V2mGpPIxq/YiWl/xYKcj9U3jukW3/IPyx9F7ub9mC/bo5fBopn"
        "zMAYWIg+T85BwFA6nJQLoNE+AMu6h+T6VD/8LrToeXsPP6P99V7Nxkc/DOqFtRij8D+jTEjlioJkQJJFxDsKBI"
        "k/5/Tipmb1YsBZ70cqJdGSPzbrKZv3jBe/q4Y8Ef6WV7/SHlNiBYeTP07xmZGt91c//hQL4buvcUB7mTleGGtO"
        "QGb5t/hOC5zA/H3uD/ipX0A0HssWPyuev2oMsjpOevs+IJg1nA3qlT8WOWzSvBjRP2h05omoHV2/xuFaTCmi1s"
        "B1FfNmLPVjwBpAlAhHPRw/Ozqs0KW/wb8oInd7vyUhPzPzsIwn21Y/nEF7FsDZ5j/CYqqS2f1dwApRx12irHG/"
        "whTGD8oYXMAk9gSgrZ2KP6JAKkHBDQc/zTW62A5PKj9E2GOdYqh5Pyz74iJViGU/tHjcl0hqg8CjLm+HHXhMQG"
        "b5t/hOC5zAZoDoH3uUW8COiGKk+g+Tv87z5QCHgAi/JPJ7RN+AmT8n010hPybHP9nlDdvmU0+/Ti6Pu8Kds8DB"
        "US89QYVJwKanKJdyqSs/1sjnDIkbwj+XGEkZfP4lP+EpU4JH6Ec/oAvgI9J8079wdOKEcHZxQMVeNeH+aJE/vi"
        "IXEnIZUsC6rmXSw+CCP0hGl17AvCS/IidkmNr3Wz/s7Ydu65R4P3jZwSbdpys/OoqQsKBigsAWpXr50EhIwGb5"
        "t/hOC5zAmaBRSTGCYcCJ8oA0z6+Ov7+OwhlD0CU/fMmqqEW3lD/K/uJqIYnNP56EIBSUFmq/lO3P2xmF0MAs3S"
        "JBHjMwwHVJbk6K8yU/VgtI0DR70z/wYpgRkXT5PvetPXLAfV8/P9/766/9zD/CjB/2tmReQDDBdDF4nJI/U5M5"
        "oZL7YcCiWDeCn6GQP49yj0VkbxG/bloOM0+/Rr+At41ooe2SP67MrpXOO1Q/nitjPORvdkDRvmXFWxBmQGb5t/"
        "hOC5zABErn39z9XcD7jOIg7UuGv2fLTNpSJC+/pphs43uAgT+xIbFcqj3UPxHsLnHVTVS/liwYDuXnx8BC5wxl"
        "ruBbwLCK7dJU0SI/wInFuJtHd7+uFP6aPnAwPwAA0WNAGl4/nbDsXYh59j9gnkC8cgE9wGxYwrY3koU/Adj2rX"
        "byVMCmypVexIF0PxYWvOrAUyy/3OYc1cr1VL+MvSO6T5+DP/6qNnJvKGk//kerlw/QgMAS5LH8uPNZwGb5t/hO"
        "C5zA4BBzOEhVcMCI1Cw0B0VgP2F0Xi3kZCI/0FrOuOBNmj8+9VcS+rDUP2s10QftYGK/T9x242ztwMAVJBtdrg"
        "NFwLJEPnAK5SM/7U9BIBjcpD9of99l2nQJv+Gy1FWJQWI/ruEV7Rn64b9czot1USlkQKrn8HttuG4/yO3meRlG"
        "IECQ4DdxWxObP+dNs2OzSh6/4M9no2j9Tb8IrpAFqMthv//Yuntrf2E/RNoce0ARdMDlLPSPIGlKwGb5t/hOC5"
        "zAdEk22pNjUcAH1hEe2GSVv5GmuA2ANyS/ss9M5ulBkj+FoaNtkJO5P4mU9gDZgFa/BA1w+6FEqkBoazA+n21y"
        "wMgTyGx9F/Q+nA9cut1Ior97Yab3SJYtP1yxHWlUyTk/uLvBhDJyor9i5bRmN4JXQK4rxZv8o28/Bo1RhmgBYs"
        "BA4cGIsox6P7tCajpz/DC/7PEgAxACRj8gM0NQxqNTP+LOaJOFt2I/lC0uMccVkEBfha+I8IxgwGb5t/hOC5zA"
        "CKxVrpWcJ0D2S3L9hyWRv9fo4p6vSwc/FDFIqkyUdT9baiBEE3bOP3Py71JcTWK/iMv1M19k3MDlttzy/ptVwE"
        "R6Lz8ClCg/fDaklB5IyD8uhcq/O/gvP74AcjRTpVU/vgnD/6Q+47+YejRAKug4QDb+MzuLjYK/q/hyyQOoYcAP"
        "vUMf8mOWPwAF23QumZA+LrUdaUl6FD9V8NUFDnWBPwZ8R3xaSVs/0rmg44CUckCbhOoh0nlmQGb5t/hOC5zA/D"
        "IRA8kFJEDEh5xkX5KLvz+jlwP35Ra/DBpI/6ctnD/8lraCvbzPP/6yXCtpYV+/VH/xZ1f91sCo+csD43c5QOb9"
        "e+8NPAE/C4HNlIzusD9k8MU7mAgqP1p5SPdSnFg/TnzwX+yH0z+IEyX9yAI1wIDNme0h0wK/cIkA9aaka8C+4a"
        "g6LSOOPwGV88znJSy/uA0SGJGOUz8g0tJdUSiRP8Oscx+oclw/nCCiPaU5akA7qxsPmX1MwGb5t/hOC5zAtINy"
        "TJZ6RUBX5AE7LSWUvxKCUWCRVhq/Rgo7N1LzjT9wOyTHUMGfv897LYGex2u/CbdsUne848AAghhHprwmwPGQNd"
        "QL4Qs/5DZWwlPyvD8llLLcyWszPw7V/PxySmY/iCfF8dan7b9sUFFikjNuQD+iDMKn9Fo/4IwI5CRgacAsj+V0"
        "P6uSPze3DpgnkhG/kRwfw91LMD8dG/qp5qqWP/5MoRPLimI/BdDGXpKgosBXv84bvwUpQGb5t/hOC5zAoSUJdm"
        "u9K8DUrRdQ9rZvvyjgLOUJGSq/CWxnaAQepD9HxFZRAV7MP9Bor5jB3Uu/r7OZmYlUz8AQi7QrL/ZhwBDDaF2v"
        "ASg/tU9moTdds7+VxXiu+M8jP44ArUr/j2U/eH9w34sDBkCOJbABi1ltQMzBqCUmbYY/2Dh8xmarR0DJcMGW4J"
        "iWP7q00ASXHzC/o/AuA6+2RT+Yhttby5OJPyJH6Fn6U2w/P71D6uVUiUCRPxG7xNFiQGb5t/hOC5zAXvCGprb0"
        "RcDAlq+VvVGIv/Nxl2L87CK///otd+sniT8RlJt435XTP/70cgJqB2y/VRDgikrox8BgCa7u4ct0wMA6cYVLzR"
        "Q/0hZYdLzpwj+GmYT99aYyP8y53JUJIFY/wBNVH4b2gz8wScNh3xBiQKy89W9OLIQ/e8wLlpHtcsDlnhpFoeOX"
        "PxcUMBiqGiG/BqF7yxDPYD97Q2ym3m6IP8yCF/qSVWs/Rr7nKk8EmMCVt2iaFUZUwGb5t/hOC5zA"
    ), "<f8").reshape((12, 2, 2, 8, 3)).copy(),
]
dy = np.frombuffer(base64.b64decode(
    "2e/Q7b7r278PUg9jhfnxv9m3pECyN/S/1S1ZSBOrs7+Zf9TJLwaiP65mzHmzc/C/s1h52ikXob+XT58OZaP5v7"
    "qYkMsu9by/8AvGpboZ9T8RbzGmnxHQP0d59CKMO+2/lcCJLDfd1D+ZypS93fLUv8ldI/Seks8/ghPYn8l75D/m"
    "knmGZxPuP100bNJI5PA/M/WXKxRj3r9xDZolulLIv2d7Y+kinOO/zMm8gkwR8L+7n3Qrx4b3PzrTn1Ah6tC/bF"
    "9G7YZA7b88Mn7aonHrP8331SosQPA/Iv/A7/Ja8j+0t1kBjXrdP3t2fWk9XP0/gUa9zhnA6j8VSYQQqfrkv9ro"
    "aSJUkO4/uq1AJbth4L8QYWdJjRLpv71UMcxG0OG/zYEn+m9g9r+fQ2bl5J7wv/x5b5kJpeo/7ijsIpjpxj9lp+"
    "Pp6WC+v6u49dWtl8I/GYNHyOw8sD9qFAllqx3tv8xuFIK/Ffw/Bx2bnYSW7z9pvzmmk2P2v5B8NtuY3+Q/+bd2"
    "JW12sb9K4/DPXZiUP5CDmwkiX9C/2IKlm1ib5z+NAcSX8ln8P3YNkrEz49A/ZVl5WVsm879RxCX9HTfyvw+/PF"
    "LNJfi/ru7/mCqE7L8csm0r0ZfPv4ha1Y1Ix8w/3Bif3R7zpj98pjPz+Kz2v9m87VtQg9c/bEskHfDtob9PxCea"
    "/xLEv3FH4uWxOui/qUeSXXHf/T+ateLGb6rfP+DvRQ5msuG/8Z+lcXcZ3j8JfYh/7CXjv86Q/hGHi9y/CuAhmx"
    "bf4D9EKfHq5Jb8vz1dbBexZPK/7YuJeIVa2L9k9l5vQH/EP5THbymxStE/IBUDDTiZ+b8whUMLvrLyPyZgue99"
    "OqM/W0zKAnlW0L9uPVaGGjf3P5bzaiHEaec/fHPRL3sy87+CRrsxOOT4PzvWSe0BOOk/nk156hEk+L8CF0uehr"
    "LiP6CSXv9o8wdA5+Y57ZjF8z8hVrD7uADVP2CJN1ed5uM/iggtAD+R678NpLfwji8DwO27QZ8ih+O//uaYTo4Z"
    "3T8fhmq/NwnSP6ncAVAF1fC/2lJqCemk+b+rFCxgMK32v5qEnBbdY/Q/JbDC/sly+b8H3ojz/XT7P0KwGew4V+"
    "s/o1I5wzgS0z8ZI9d6suPpP26ZC0KsXuo/tSi/FqsOxL/tR6+BUdvRP6u7IEF/09s/FbMFxi794L8231Nx7Uj1"
    "v9xC/5A3zAHA3U0dtIeh8j9TIwSHn77MPyDUU4HVVfy/jNhyPMCIvj+HkfR/UE/lP+2LiXiFWui/RleJxNPX2z"
    "8Z2Bgk5tK4vwgukGVo0e+/6t0zo3Bs+796FQBh/tb3P+2GwSvY/AXAc4ZxJGaS+T90NmgVGlrTP5Bk2kdKSde/"
    "lV3ucytI1b+4bJXTG9bWPzvP5L54uN2/gi5fnulN67+J3C9rSpazPwEhXqOzN+o/989VJI7WwT+r9enPZ6nsP1"
    "Cb1KHrZeQ/mLRW2lts8b93l+HjlSf1v28Zy9qz5/k/Ue33JkH20D8Qxp/jdMnxP2vGnDc7B8A/zZAAr2hn7j9n"
    "ZjLBpUHfv0xarLsepM2/Xbyf8b/07L9XBD3uIhXev9e87/gxX7m/nrKxhPna4D9ZNHKp7Xf2v3RbAHyF1e+/Md"
    "yvq7GO8j/L5uL/KeHxv18kAVqXC/0/TxZNvDZ/4j9XKEfLmHb6Pz7gVhuKKes/quHJnLIy4z/kYTVztqj0v8qD"
    "R0ceTOI/78w0yiTmwb94WM85DwbhP0ZBSURwdQZA5GgbcDAW8T/Ab7SQo+rUPwMhWmnwf9a/17WKyqjf7b8//5"
    "YOcVHzP4Vhv8SF7Mw/LzZL8Tle3z8VILLmhTvGv72iHCvG+O0/2zOnqi+z3j9VBtxs4BL5vxBXVuFBacO/Grtx"
    "2BcV9j/XKR3oeYv/v6RcSiuEu9i/FQHxJK4lvT8sjK4Q7MXjPx1pSHwd8fM/gAUQ4JhYz786059QIerAv83OAw"
    "EJgeE/yaW235ln57+eKe4+q9Tqv1oj+nU3c+O/3n7ilSn67D+DTZ+R0HXTP3gvfEH7WPE/8PFLYp9zvb/8sIzu"
    "L1Hhv8WImNZCB/2/yZdrtJZ6778YffHxScUBwLnWFOy//PC/BfuwDb0g37/sU19oWoLyP4ET2jyrV9a/+jUYDq"
    "jvpj/9osD0O3bIvzZwCm+66PY/7V+M45BfoD8H4KajyoTlPw2BvGv/1QPAw1DvlAgdqL/9Li7XasrGvwKjuIC1"
    "BtE/WDTzd95l578TijU57Rm0v2r5gWaLS9a/y/wg46tn9b9xmQcI6abmPwF66PNzI/Q/pYDRnCdT8j9YWyjAJQ"
    "P9v1IZ9bs18ci/rfxMYQ9N5r+MwrOKTRT6v+u7xAr1UOY/bHchsuTo+T+aWS0L3oL8vzUN8ISfQeg/S9yJBPM8"
    "97+vaXYWlMHYv6iIwrfEEPy/94dBaqIT+T/YZx6dOMmwv7CBUdvxafU/Pv16+4Ud+7+tTnKDRrn0PxgS4rLOqN"
    "k/7NhnHABX9T/IvZNB2evFvwF9E19FX90/jzQkvo743b/JlL961FDVv1E4N0z+9PI/GfDz6EN71b/WtYxnirvv"
    "P9FnKK6gFPq/BrnyKXTV8L9oauu1bJfQP67OL39sZvK/MJHxVOV9AUByekSpL7Xbv1KD9aLKBeS/j56lcxT7qb"
    "89yHtWLIHuP5JCa6/OLfI/LKDQ4IIY7z8SIDfvOeHqP8R5vyFKAOW/hvJzJXGw/L+RjSujfBrlP7TIUGZSkd8/"
    "5tqNQFPW9j8Ec33uRRDjv6hLTe8ZEcE/a93pcqOVAMCO/hXBTlTAv/zLlLtAEcm/udJZWhfLzT/3Ajm2/D7GP/"
    "RsvqVF+fW/I/MQCeqz0b8xiO2nngDLvwQmoees7/c/NOuEJufd5r/RejsmUV/0P50RlEg+Gs8/xqU76E0N7L9c"
    "8SEC7Fr8P0Y1HMk5mPg/tZVrNwJNyT/Nr8FwQH3nP1t4SGZeP+k/oLy+soHMwr92khs0yqX0P9FFu7IG1ea/Gn"
    "xhy3LPgz//upkcuELjP45rQ7CWgPY/VgQ/iwTxv7/vkms7PBDhvzsygHeETd0/UJaLhk0a8T8X2BrBx676P0u9"
    "yEIbJ+6/u32GYTxZ4z9E0gN8AM37vw8gOyn9mO4/c6BqmZBK8L/lbWLu7IXiv+NJ23xJ7vg/nHjqkvLg8b9Aji"
    "9cceHavyDAMbE+A8G/Rj+sYpRT/T9je2nAxy/5P+Vc7FcYXeE/ohENo6iY+D/dXHc3cZbbvzAxAtabEvw/hw8X"
    "N3y22z+1Yoilk+SEPxl9cCNZ1wDAC8jDauZswb9Tr3FpzhLLP69CwP9bNgLA3uH+HCZ93T8lvHBI8T3IP/hv4z"
    "lyodk/j5SUC8lR5D8wXPASqgXzv+Vc7FcYXQFA4/z+dbDNzb92UwmKQ4Twv17WF5j5vvI/H3+Ewr2b5T9r09gK"
    "WOzOv87piGJHd8Y/ccm/LobT4b/8TfE1JLzxv68q5Tr+jQVA5KpYhYhz3j9PeWlDMwLTv/8dtAbT6eE/zL2Naj"
    "RY4D8enkchd43wv2olAMpwNO8/kEx+tPuy6T+l4+0jJNbyv4UkSvza7OG/9YfE1XTd2z+uRwu42133v6JNcxNt"
    "kPI/pUtRKd3IlL8Dvr6w5Or2P1jKccJYY9s/oiQgG1nj8r+4Gu/i83u3P2BZAP/wp4k/eZ9TzSPT77/i8m7cVR"
    "LpP0r3EqD06s+/RmVTIebWwj8qMPvxO3rSvz0o7KNm2uS/Q1vHwU7T8T+VYBnf/IP+v4y2hHI1W+q/vHFXSSSg"
    "878BrcuF4ovIv+Do4N/cMra/Cf1HGPSu8j8MgsvD5d3wv+a4IEW5lvM/qhStLiGbtz8T/sdWvsWlv3I9UK91o8"
    "E/GxnEdYVewj+rwgY++UDYv+4JK2HA090/YXHbw05Q5r/MjVYSiBn2v9dWKdVUjrA/yo/1kEUXAcBxPVJMV3/T"
    "vzyVGZOuBvs/R4DaHwap6T/MiI7F2rvzv2x+B69eVtY/yHk6GZZa4D/cN2Cf9gjgv5EjK7znBeq/rswTbIEy6j"
    "8gT0vNL4HpP+WgRYBb7uY/8hALh5Wt9D8sY9zmyAbVv+96kHbeZ7S/KQcrZfqW9b/y0Xmr/3nxv77XG9Aflfo/"
    "MoEHqyST7j+ZW8rsuaT1v6Su7n7KObY/nTBVChYw2L+jM3gBYfzpP0msVEko2q6/lX/aoNSZ9z8fq4P0k3KvP9"
    "7NW36ePOE/2W8RVbdi/L8GdieLJl67P5Cvmjv4Naq/W9tk7VrC2b81ZvujUBvTPx31Ni09M/M/zX+KGJQ+7b9W"
    "ttJdlNriv8xH3zl4ePY/nx9cCG895L+qFK0uIZv3v0tcymvrs/c/V2l1iArM9j/y5zhdcu7FP8H+TN6jeuw/2D"
    "qR4WzY7j/iETCeLSjiv9JMnxKfZvG/li00sKw/iD+K31rWG9LsP45TZk5X/Pe/obw95JDe4T/uWCUYJgTjvwUh"
    "1/0dtuM/ye3KmYUq8L9d1phm6qzzv9sOD0TEN+I/S/vLlLtA0T9tfgUSfXr0P0l5cbe5cdq/3cGv0VhN9D+sd8"
    "V7WmbkP7yYjJFrPem/OaPpxmWZl79c0VHoLT3SvwGcVe8NY+e/Iw4Z1vpz2T/2jqg1DW/mPxcS5E+whOu/9upd"
    "8Z6W2b8vKQ8eHXnQPyEfEtihZt2/oOrZ90LX9L8cwDeI45bWv/Fswt8Isem/g0Y6Y0f2579Xx0j0aAOkv/iFou"
    "vkFf6/lNGAkfzz5j/jrhMXMaXRP0lvYE9uyNQ/iVDCiBtCtb+RhsZ085rZP9SJEKGGroi//fRkSIL0tb8goXDv"
    "Zu3Xv6phiTW6u/I/+XDw9HbNBMAYcLUeLeD2P9EGqQiAswJAyKfUj2Z38b+CcSo9N8Xwv+Asu9YQsty/zIgN9+"
    "nN8j/XiQxnw/bEP6S11HtEp9K/4jZJ04mR/78qQfJWAZHUv9ZDlyuVMfe/ohhy0TEYpD91Bi8gjD/nP4+DnaYD"
    "O8K/RNloqolM5z/ogYCEwCDqP4HgddxLAfE/oLw/gXK68z/pZnYazoTAP9HphCiEv9I/CGwS6Rf98T8DQ0gze6"
    "3qv72RppTxz+y/gY5QuhSV0j95L/tyCmvgP25tDq23Y+I/Gseg8C/O5b/9lPT6R5vPv6QHec+KJeC/cW6Y/OnF"
    "/j9K0vlqmIHSv3d19bbs1QJAxnm9hGgk079Dh8RWQ87pv8i9k0HZ68U/OhNAhJ0lAUBbeMk0Ty3Kv3MvA+eQ2u"
    "e/d7tsj/x28j8g2zl+T8PYPzhd87xG5vg//+NrRtsBwj+LOGRY68/1P38hqNOADsG/yJ7SfwHWzD+sKul0wUX5"
    "v91hP4Qe9P2/D5sydVfEq7+6zRA/eX/6vyYMeLpbmvy/Gusp/7RB8b/iCstvpKi2Pz1ASDe1cOK/6ijy+Tx93D"
    "8/6ua05OTfvyfUSXBtCuO/F72Twqfc478DkCQ6FM71P+WWNBgQReE/XYLWYtce3L97AmwaXZ7sv8esnnn1sKW/"
    "iJQdTkCv7L/BD0RDaZHOv0YYdxpNtve/bJGb9f+O8T9iOB/waqYAQKi/3wzrvPK/Gdo0N9EGAUAdofX3GpPsv1"
    "fAYvfuldc/XuXwTPLF+j9aqAIq3UfmP4s/yYZ0T+E/tkCa2wi30D8+82mTOnT1P/J2UnljbO6/COq1bjRS2b/Q"
    "0SoyFwXnv50wVQoWMLg/NZL4OEUW2z95xXm9hGjkP590LWRo09w//6zNIsRn6r9akkN4atPxvxY4javj4/K/PF"
    "imZ+XiAcDN33mX3anCv1bYP1kuGva/9V7yq1Ee7T+TwIvJGLnWP1BrHHtOOem/WPgN1gpc/j8oE1p9ElD1vyEc"
    "52zQKuS/19bobVwX8L+wzA8yvnrmPy95l154w/W/aRFfyMrPxL+vTm5JgwHRv1ctDxhG1Nw/t2Wxc4NE7D9Xbr"
    "6jqBfqP34Qswud0/C/beiGxwJ9wL9xmQcI6aa2P5lxCm0dB+s/ep9RMEL33T8beCVr2a/vv3WBJmzmavS/LBtJ"
    "+80x7b9t+fxd16XxP2WF97xAD+y/9pHToN6qz7//MVelWirOv3qcJsVwu9Q/3jD3NqrR8L/4Ey5+4HnWvw30Pz"
    "Hqeei/uttbanxs8j8jip6rSrkCQMggL/rkgPW/vTzVOPg55L/2SDFd/c32v1riSurUL9a/1ymcGYmdzr8X/sF/"
    "GTLQvyZPwoq4I9E/O3oTY38i1b9dy/l0qekBQALxo980L+2/i1PrVgui7D9Mj6tgeED6v3NA+ktW8fk/vhMBcv"
    "Oe0z96CdPlx/nZPzcUUxZH5cE/QSuSBoRw6T9mKUBkzQvnP8sUfXb6/fK/4LHDiraG77/9kcmPdl/mv5Vn/9t2"
    "8eo/SDWZXWfOtb/Pl2NAEAvov1BQlXwuZ/I/QzyFMYbP57/wEivUQ5nwv0/mlJWZUue/qVVcuoPexD/M4qafkM"
    "GtP7UovxarDsQ/fZ9N9n4/6r/5PP4KIl3DP8Ra/l9y6qs/Y7WxgL8X2T/NKrm8mqj0P8y9DjklRvE/EMvo/hIV"
    "xT9CyPSwlv+3Pz6LBo6BgbO/PMy3tsWg0j9cSA9x0CTNv4Art57q28S/kXXPDy6E57+/7djksC3tv64NQinzh+"
    "a/pBubnyF4279sUOxpnUv0PzshiRK/Nus/VWsUB8jJ8b8Vm6ky4Gbjv57llBZoQ9U/oGM0YsHg6L+xhHqp4cns"
    "vyLKv6234vM/bwMMKUFz5b9k0Lew7vvOv5dFD3UK6NQ/fk2nBVfl6r9SQsflWLDnvxpCmDyK+dI/CaACNouRAU"
    "AhBAoLkablP4HLxYK/lO2/2s3iIzS+B8ANohoPsw3aP1j6qrfmfee/f1vwk3j28L98E2HiQNnsv4sZIsgizMu/"
    "fwnLcUGK0r82zt3aGCD0v4OCoNML7vE/Eu3SjtqKlT8Dvr6w5Or2v+r3q0mqNvG/AN6SBGbAAMCBPKxmzhblP9"
    "46CJ/1euY/V69rkil/1b9/Mh5qVTfyP7vZvOu+bve/PW9y1FyDAUBb49hzykkCQKS11HtEp7I/erSCWL9R8r8U"
    "92CLU2roP4tC9PFFi9o/OKUHdzKp8b/9g/8yZGD/P+LX5901QMI/IomR8EWN1z/7+0zi3T3kP3Q5k4Drlcy/dg"
    "2SsTPjwL8EYgdYcefhv1px5dS2m++/1rULmZnN3j9Fz9ZzTbXwP0pv34B92uO/OdbMWNQB3L99bGpkENfFP/te"
    "6Jrp0uM/J50sG0de7D/OdXcTZ7nlP9Op4lcmqABANzlsS6NO7z9geMHAyL2iP9fg+dWnwPW/EMQCApmnuL/Jcl"
    "J/OhHiv6RGi3kRR/Q/jmvC4aWS1T+XJk6zMtLrv8EFM9sd6Oi/sOcX/846rr/JMSTCyLvVv9XDWGF+lug/4bFC"
    "vMWY7r8BBlbWonfCv1ULJYh+Xuw/C1B4WE5rrr+ulOe+dH4CQMj+Qs07L8M/fYTG915t4z+C7TDhd/juv9kaQP"
    "m9zPO/znxdEOEm8j974P4ew175Pw/0O/cmwuS/JHEzwBUb+L/D7/C92KnxPyWCp7kIaNc/lhXYHF6p6j9f8znb"
    "E9fgP/pU2c9/BbC/8Y4v26Lw7L+kAJPSELjjPxOn2ufZ+wTAnavNJGFJtj9RKuwg+wfbvxG9HAUfOsy/M/Lr8V"
    "E55D+p8kHQaDfmvyNgPvgx4Oe/g5hfhX5ixr85JccPOjIBQAmPjJ+2aADAUcQl/R034r9Pg3qrfqvoP7R6ZQfT"
    "aNO/4EQXal9I+j//0vWvBtngv3Tn7iylF8+/F84JWXwF1b8EKD7JiBHxP4tQwOs5ZuM/g50n0ivA+L97JNkV99"
    "3PP+6LCKqUbOc/9J+hN7Rh6r9zdxehfJ3gPymwPfYVzfQ/FeboV51lxb9nyc15sda+v8JvMSXRIOI/x8emRgZx"
    "zb/F/kYH/+bGPz/q5rTk5P8/Elp/rzHJ6r81FwHt6urtv4kIrs4vf/w/B17JWvbr6z8MfhLPHoj/v/DFTs2qeN"
    "W/u8+rg3PF4b85cAY19zDjPywbSfvNMf2/FawfybSPxL+VBGQja1zLP1gkC2v/VgJAfXZ7zFuA2798M7AtDgkC"
    "wJctMhPLY9a/GKp+rRW297++3GTrveCtP8o0Ty2a986/JE/GxHvb9D8iRbf5EQ7hv+s2vFZPfNO/0AFiisND4T"
    "8OSY4hEUbOP5uTcy70juq/YAdcq6op3D8yMxxMpWrCP19DQ+pfD/e/OUBODloE2L+4dqY7Z3/cP6QurhfSwvW/"
    "Ad0C3o7K4j93Gk22X9ruP55ZpmVIAfa/XsppTtLz4z+CgITAILrJP6IslKHIav8/dA2W6/aa5D9WXcnbxNz5P3"
    "u3LPWfn7o/yCPbM6eq7z/MOzHwUK3XP2SAL3CTsfm/NXXUWEki+7+Y0fuISE7yPxz1t/stIfS/D6yoCyzt7L9i"
    "MCqbCjHXP9Dw6/PuGuA/r5xZqAIq3b8ikHftv/qzv38+zLN8AgHAv3YbXA5G8r+gmtKF2HrgPzBwk7ExRu+/Wm"
    "KLUc2m9r9pHQ0S8przv5J8s2/GFcK/WZLERlvB8r89yPwkHW/fv4q2iKz4Es4/LwA99Pm58b8RCFwq3Djuv+B7"
    "NL+F9NA/qIUWfgLn8b+qcv/LjuTzvxgLfYRFKf6/1qv6ME4kmT/WH41OH9Dav5DRhmihh/y/mLzKYMvzzT8EYg"
    "dYcefRPzC/DJqmiPM/jb3poL7a5T9K9xKg9OrvP9OhbtG2IOg/A+5214EX0r9n73Q4A1qkPxePeH3m0fE/TKXr"
    "4Nui7z/pu0d2xxrZP5PYaCtYPeW/W6M4QE4OAsA6X44BQSzwPyYm8GCVZMI/Ga/FK9Il6b8E/2ufZVKSP7qAND"
    "jgXu8/IudkXKTE9L+I45Y2tfHwP08Z+fX4qNw/2BiltMOG7D8SU5myt1vev14futvam/u/30FtzX764T9GK4qS"
    "/QDCPwjjz3G65My/v+qted/x478y+VK9vJTBv6ZJM3kQufq/FVOVePSj6r8jkHVQ3h7SP1CzMDU6/PE/qRSvyw"
    "J3+b/HMactm4Xov2/ty6jdEPA/iNoV9UA+/T8dWNLlSMjyP9F1c9mjAfK/sdN0YEf68T9Bt//ossS3v0g1GI92"
    "4OQ/CPTG1n/73r9skRonD6Hwv6Z0ooQPmvI/vPsnSnfS2D+zId1T9FjrP/3Lkh5fNdc/9dloKbtbub+2lwZ8/J"
    "LwP3GoYYvSm/+/BHSMRiwYAEBlCn+i9fXtv13UfFP/eNu/U3yO11+qtr8Ytiz3PIHWPymdqa90lOm/hsRY4K+l"
    "2j8rM6WOHMjqP1NJq0XxQdI/7EDLIblJ978QOJUfalPqPzBc8BKqBcO/m3/SLE4q8D8KhfpoetH9v9Oy5GeLSc"
    "m/SoOAgiM/7j8KXkRSQkanvyOCq/PLH9u/YRFrdhT33z8sXPbpTpnYP0vQ27rLcfi/0GT9Qs/YsL+mLI7KI9fZ"
    "P+fTJnXoesk/J8NSC6jzwD9uoPE+Jszmv2Iyx3zmUvC/NUlW9WM58r9hun0HMC3/v50Oad1s3tW/zmcs6GPM3b"
    "+A1MkvBhL0P2sNoplAwq8/Uy+y0MaJ+z86Yjo7A1bqv14EM926yeQ/3Ddgn/YI4L/pvWOJsk7xPx19aky0Q/+/"
    "1qHpyAJ7078Wjd047IvqP/hv4zlyofk/R9QbVShJ8L9j/cU6q9rxv00FWpE0IOS/8VG6Evjw4b9lkSQ4d+z5P3"
    "Kx4sxGT6O/nfYMSh5I+D9iB1hx53HIvx7pBxUleuO/pvmqOLVu1T/LwDtB2F38PzxPI4mPU/w/YOXurxDq6D+K"
    "lJribeXJv5UBNxu4ROA/Vb269+8j4b/vc6p5ZPrHv7/SUeaQW/Y/tnN9bXcftT/fySG75vjeP4ta0VOFD8k/FT"
    "3WxoEv9j8nhdCH+MfuvxUvi5t+Qv4/zOmMnAov2r+Z1KUlKZzKv/Rv6RAXNc+/5uHybtxVsj+ZYBMIWPDYP7WJ"
    "ve3agfo/Qy46BoPi77+bZ/XKDqbBvzoGBLGAQPY/1Wci1/uAxD/qc7Lt6mnvv577U8jat/m/WnWeyX3x4D/UZy"
    "R03Vzmv9hSbkOsXN2/jjQmW3DU778fkHsng7LHP0fBhw6HEOU/0Hig4VYZ/b9cvKGOodD+PxGKOXOw0ee/JJBz"
    "s/xC8L9Bn6NVZC76P5/lknmGZ6M/03G2qhn07L/WMAPl8/j7PyWklYOTlbs/zc4DAQmB4T8tpzUPDJj6vwNDx2"
    "SKv+k/Ovi4hX1T7j9jhflZIuvNP43aDYG6zvU//r1FVnps7b+xcNmnO2XiP4LjoEcdPfq/h1pWXDm17b8fmoyP"
    "zlvdP+XQ/ab4GqI/jyMtWcnh679aEOf9hij5P7XgKyuwOdw/xWvzJ1Yl3L/CwVZHCI3gv4STlZvvKPI/1g6W6V"
    "m52L8H4KajyoTVvxoB6bAnttW/qsfQJ4h6/D9GgFvu9pbqP41rxH6Hbte/TeYXAWwc+r/+ewhBIg/wP8wDhhE1"
    "5/C/KCkZL4XE2T+hgnRVqAjhv1oclUeu8+c/UtWZ9hCE8b+HXPM9Fdf2v7+TPzwKOvK/WD4E4CkP3b8oOo/FWe"
    "3qP0QJoAI2i8E/gmX9wQDo4j8oHwjHORv0P7u3T/AkL+Q/zHxfrcIC5D/iA+VyKjvqP08x1LpWUbk/LOqBfEr9"
    "8L8rvGjUas7gv6YAEGc+7vA/LCItW2bD5z+lS1Ep3cjUP9E0xE1BvuS/hgelTe4K8T/zHLcz25zxvwJRFC1viN"
    "O/rd2Lnzc37b9xLwchVJLrvxm3ObJBrQFASvTnNCOv9r97qNJxtqrxPzH8f8VvrPw/+vYFZCHOAsBl6JJ1TKTL"
    "v5kCQJz5uPu/TNWjB3nP6j9zKjua43z1v0mb3rJTsf0/jpdARYt77j9uLF8hVSDlP9gm8N/Gc/S/uK1Cwpw94r"
    "+evMLsRISGP1MIfYh/7OU/Mm1kDJ1S4j9QNpwHBK/7v800S/PWP+s/j5QTPdhj8z/RUnhUFKgCwMgIVDWH2Og/"
    "3yCOW9rU/j95BilJ56vhvzINdY1T55y/47E+ggLh2j+smTJ39KXXPw3BXJ97EeQ/SKJFfr4Muz9Himq5YGS+Pw"
    "Eow9E8t/U/TZvY264d6L/U1NCUNJvbP+c2wi30D+m/6t2y1H9+6r/gMYMjvg//P34JzQ4jZtS/R58aE+3Q8b+4"
    "t1Mq6Obnv1iGGJoV0uU/PtZFsz6A9b8Ov70gvhP5v4WwOK36LuG/hfavhQrQ8L/Gs4YTUfrTv+qjahSIlto/Nq"
    "PtAClR6z/r/PLHZqbyP78r3DZRR+C/U6xG/vzW0b/I4Z0eT03yv0qwDT7vL8A/LO0ttgwn+z+bMnVXxBv0P9hg"
    "OKC+W9S/cj1Qr3Wjsb9lcdXsqbzQP7NDyYCdqt2/XQn9xkkD+T+jEYzUt6qnv3CP+Dx/2fK/YNJaaW+x/T+Gv5"
    "CTAkj4Px8VhNsoh/q/+xMqRB3Cwr/uDWUkeBfgP7AAg+oD2QjAZVwlkx1Q7b/v0X3lwjH1v6hhDKGMhfW/1CGt"
    "m8279r9WC6S5jXDrv6/YvxjHIfc/2khZoZ378z8DfZDzcpXqvzcUUxZH5fE/Ez/2EzAb8r+t0/lo+5+mP3SIDG"
    "lg2NC/CZEpgZKK/T8SEVydX/7wv37jJVDR4v6/BFQ9+17o6j8oY+K9bZq6v0T076ipHt6/IpB37b/60z9yQHsa"
    "R9/6PxCYBW2krOA/AIBAZ/h2BMCchJjcGazwv44jL/aqvd0/pbupg/YwAMDkVQj4f8v2vy1j2knnKgNAe93Ts/"
    "Ei4L9yDZiI2HbWP3c5j0Yo3ui/YRjQpJ12+7+UC0og5cnnv+4v0h8SV+M/t0qppnKExD+d5ZazSR/HPzite/2h"
    "MO6/PJWaYZ/0678w0y5qPdvuv3l6OpjHadK//Kmm8bXj9L9PeWlDMwLjv8EuhDZQufa/dx6HeRcesT/r/PLHZq"
    "bSP6B7kPUPd+Y/zTRL89Y/2z8OP/6Htorpv7i3Uyro5ue/fpU68VG6gj9tiBZ6yCPaPyuki3IrStI/hNImd4Vc"
    "1b9m0LUTDSDtvzmEpzadle0/RYnezEwm8D/fRJg4UDa7vwtjDJ/vo/m/qR7AM04g3z/STJ8Sn2bhv7bFoo+ui+"
    "O/e8V3IKOM4r9PSbEcltXXPwMJf6SS19m/vBOE3cVo5j+TwIvJGLnWvxOeVwmEbM8/EA/D9UaU+78fDh+tnwff"
    "Pwk1dMUAY5o/iS7WW3Lw0j+APK4DsPLWP29YXLZJG70/i1PrVguinL+r/M/M4RbZPwj0xtZ/+94/"
), "<f8").reshape((12, 2, 2, 8, 3)).copy()
running_mean = np.array([
    [-70.60116681400322, -0.008939583278453758, -2.6688706685951794e-06],
    [0.018630232766438395, 0.17787746493248144, -0.0019964646890771797],
    [-13934.682349393179, -76.20544192178548, 0.00010070772496567291],
    [0.07217768001436264, 0.00015395800296469516, 0.002062700194849311],
    [-0.31680938258494296, -2.889823877199362, 0.017534633710894573],
    [-122.62064822392038, 0.01724624220318869, -7.530033772179502e-07],
    [0.00015902859541907136, 0.015743924367394916, 0.001648153469098486],
    [-1140.827061032368, 4.344657431684469, -1174.2341592371445],
], np.float64)
running_var = np.array([
    [19979.074148604355, 0.00015771952760152148, 9.829084232453492e-09],
    [7.251445041814997e-05, 0.010611491588273425, 8.110251107360624e-07],
    [110329646.94738552, 13836.936812153766, 1.7282131144321786e-08],
    [0.01851938217628484, 6.803999858651333e-09, 1.339253874369239e-06],
    [1.1822639361058496, 5013.826237704125, 0.0001581008759972324],
    [14704.591675636475, 6.49397404605414e-05, 1.4477997930956255e-08],
    [
        1.1190548678873162e-06, 0.00011640280565869075, 1.9814582903600785e-06,
    ],
    [509894.72187678417, 9429.192285309487, 1682565.4827407037],
], np.float64)
renorm_mean = np.array([
    [11.871902017728502, -0.036290840771080066, -0.0002568023689189943],
    [0.007878512237435192, 0.11293476304122099, 0.00011416981876166687],
    [-7806.850480227384, 86.95805854865104, -2.9410254165975326e-05],
    [0.03618268038436888, 0.000258299761868631, 0.0013182476455063361],
    [-0.3168886696357818, 34.35526825435372, 0.016891880018760908],
    [-208.76602896033853, 0.007187490498517095, -0.00022876273982706097],
    [0.001545534467946637, 0.012371053224709938, 0.0023417037318029144],
    [-2564.6903490135082, 10.914911044531086, -951.3714738375905],
], np.float64)
renorm_stddev = np.array([
    [104.00163183786393, 0.03268524633570016, 0.03162282219531913],
    [0.0331682634679591, 0.08591009062709855, 0.03162786616745772],
    [9067.492828850265, 53.39807829508605, 0.03162292879848982],
    [0.15256894191686127, 0.031622923445198806, 0.031649719195976866],
    [1.0630809777908694, 82.81060311284499, 0.03326427241770254],
    [67.1479486710146, 0.033592800866954126, 0.03162293389602844],
    [0.03165705060591321, 0.032456870832271376, 0.031653951966054916],
    [653.9235702001537, 59.0454892785701, 1349.3236608748978],
], np.float64)
running_stddev = np.array([
    [141.3473563552016, 0.03402527777405383, 0.03162293201276935],
    [0.032749266410381624, 0.1077566312960526, 0.03163559743565365],
    [10503.792027091242, 117.63051395005365, 0.031623049854989385],
    [0.1397117825248996, 0.03162288418218456, 0.03164394497963819],
    [1.0877793600293442, 70.80838395066029, 0.034030881211000584],
    [121.26249492582805, 0.0326334144775036, 0.03162300551810234],
    [0.031640465465411334, 0.033412614469069776, 0.03165409070389418],
    [714.0691303205763, 97.10403331123527, 1297.1374189887144],
], np.float64)

# The call.
def call():
    v1 = tf.compat.v1
    v1.disable_eager_execution()
    fed = v1.placeholder("float64")
    data = tf.identity(fed)
    data.set_shape((None, 2, 2, 8, 3))
    training = v1.placeholder(tf.bool, [])
    layer = v1.layers.BatchNormalization(
        axis=(3, 4),
        momentum=0.999,
        epsilon=0.001,
        center=False,
        scale=False,
        renorm=True,
        renorm_clipping={'rmax': 3.0, 'dmax': 5.0},
        renorm_momentum=0.99,
        fused=False,
    )
    y = layer(data, training=training)
    upstream = v1.placeholder("float64", data.shape)
    gradient = tf.gradients(y, data, grad_ys=upstream)[0]
    updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    session.run(layer.moving_mean.assign(running_mean.reshape(layer.moving_mean.shape)))
    session.run(layer.moving_variance.assign(running_var.reshape(layer.moving_variance.shape)))
    session.run(layer.renorm_mean.assign(renorm_mean.reshape(layer.renorm_mean.shape)))
    session.run(layer.renorm_stddev.assign(renorm_stddev.reshape(layer.renorm_stddev.shape)))
    session.run(layer.moving_stddev.assign(running_stddev.reshape(layer.moving_stddev.shape)))
    for x in xs:
        before = {fed: x, training: True}
        # The gradient of the last call is asked for; the others update the state.
        if x is xs[-1]:
            answer = session.run(gradient, before | {upstream: dy})
        session.run(updates, before)
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('tf.layers.unfused: BN-CALL-1 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
