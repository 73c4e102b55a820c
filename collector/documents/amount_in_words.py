"""Amounts of yuan in Chinese words (大写金额), as the People's Bank has them written on bills and vouchers.

By 正确填写票据和结算凭证的基本规定, appendix 1 of 支付结算办法 (银发〔1997〕393号): zeros between digits are one
零; 整 ends what has no 分. Where it leaves a 零 to the writer (after a 万 or a 元 whose last digit is zero), none is
written.
"""

from decimal import Decimal

CURRENCY = "CNY"
DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("仟", "佰", "拾", "")
WAN, YI = 10_000, 100_000_000
FEN = 100


def in_words(amount: str) -> str:
    """`1409.50` as `人民币壹仟肆佰零玖元伍角整`. Empty for what has less than a 分 in it."""
    fen = Decimal(amount) * FEN
    if fen != int(fen):
        return ""
    sign = "负" if fen < 0 else ""
    yuan, rest = divmod(abs(int(fen)), FEN)
    whole = f"{_whole(yuan)}元" if yuan or not rest else ""
    return f"人民币{sign}{whole}{_parts(rest, after=whole)}"


def _parts(fen: int, after: str) -> str:
    """角 and 分, or that there are none."""
    tens, ones = divmod(fen, 10)
    if not fen:
        return "整"
    told = f"{DIGITS[tens]}角" if tens else "零" if after else ""
    return told + (f"{DIGITS[ones]}分" if ones else "整")


def _whole(number: int) -> str:
    """A whole number: what stands above each unit, then what is left of it."""
    if number == 0:
        return DIGITS[0]
    for unit, name in ((YI, "亿"), (WAN, "万")):
        if number >= unit:
            above, rest = divmod(number, unit)
            return f"{_whole(above)}{name}{_rest(rest, unit)}"
    return _four(number).lstrip(DIGITS[0])


def _rest(number: int, unit: int) -> str:
    """What follows a unit; after a 零 where the next place is empty."""
    if number == 0:
        return ""
    gap = DIGITS[0] if number * 10 < unit else ""
    return gap + _whole(number)


def _four(number: int) -> str:
    """Up to four digits, each with its place; zeros that more digits follow are one."""
    told = ""
    for digit, place in zip(f"{number:04}", PLACES, strict=True):
        if digit != "0":
            told += DIGITS[int(digit)] + place
        elif told[-1:] != DIGITS[0]:
            told += DIGITS[0]
    return told.rstrip(DIGITS[0])
