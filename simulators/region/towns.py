"""Where the towns are (facts), and what the invented streets are called.

Coordinates: GeoNames (CC BY 4.0), rounded to four digits; docs/sources.md#towns. Everything else in
this folder is invented.
"""

from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Town:
    """A seat of a county, and how great a plan of streets is drawn for it."""

    key: str
    name_zh: str
    name_en: str
    county_zh: str
    county_en: str
    lat: float
    lon: float
    half_width_m: float
    half_height_m: float
    turn_deg: float
    """How far the grid is turned, anticlockwise."""
    stations: int
    villages: int
    lanes: float = 1.0
    """How densely blocks are filled."""


KORLA = Town(
    "KEL", "库尔勒市", "Korla", "库尔勒市", "Korla", 41.7606, 86.1523, 7000, 5200, -14, 12, 10
)
TOWNS: tuple[Town, ...] = (
    KORLA,
    Town("YL", "尉犁县", "Yuli", "尉犁县", "Yuli", 41.3370, 86.2566, 1900, 1500, 5, 2, 6, 0.7),
    Town("YQ", "焉耆县", "Yanqi", "焉耆县", "Yanqi", 42.0632, 86.5719, 2000, 1700, -8, 3, 7, 0.7),
    Town("BH", "博湖县", "Bohu", "博湖县", "Bohu", 41.9788, 86.6318, 1500, 1200, 12, 1, 5, 0.7),
    Town("HJ", "和静县", "Hejing", "和静县", "Hejing", 42.3107, 86.3910, 2100, 1600, -4, 3, 7, 0.7),
    Town("HS", "和硕县", "Hoxud", "和硕县", "Hoxud", 42.2586, 86.8573, 1700, 1400, 8, 2, 5, 0.7),
    Town("LT", "轮台县", "Luntai", "轮台县", "Luntai", 41.7795, 84.2705, 2000, 1700, 3, 3, 6, 0.7),
    Town(
        "RQ", "若羌县", "Ruoqiang", "若羌县", "Ruoqiang", 39.0197, 88.1663, 1600, 1400, 0, 2, 4, 0.7
    ),
    Town("QM", "且末县", "Qiemo", "且末县", "Qiemo", 38.1339, 85.5299, 1800, 1500, -6, 2, 5, 0.7),
)

OUTPOSTS: tuple[tuple[str, str, str, float, float], ...] = (
    # key of the county, name, Latin name, lat, lon
    ("RQ", "瓦石峡镇", "Waxxari", 38.6891, 87.3722),
    ("QM", "塔提让镇", "Tatrang", 38.4667, 85.6333),
    ("RQ", "依吞布拉克镇", "Yitunbulak", 38.3860, 90.1570),
    ("RQ", "罗布泊镇", "Lop Nur", 40.4640, 90.8569),
    ("HJ", "巴仑台镇", "Baluntai", 42.6684, 86.3242),
    ("YQ", "四十里城子镇", "Sishilichengzi", 41.9619, 86.4767),
)
"""Small towns that are where they are (GeoNames, as above)."""


@dataclass(frozen=True, slots=True)
class Corridor:
    """A road between towns. A stop is a town's key, an outpost's name, or `(lat, lon)`."""

    ref: str
    name_zh: str
    name_en: str
    kind: str
    stops: tuple[str | tuple[float, float], ...]


CORRIDORS: tuple[Corridor, ...] = (
    Corridor("G3012", "吐和高速", "Tuhe Expressway", "motorway", (
        (42.34, 87.45), (42.315, 86.95), (42.105, 86.52), (41.83, 86.30), (41.665, 86.20),
        (41.69, 85.95), (41.83, 85.10), (41.825, 84.30), (41.80, 83.70))),
    Corridor("G0711", "乌若高速", "Wuruo Expressway", "motorway", (
        (41.665, 86.20), (41.375, 86.20), (40.80, 87.00), (40.45, 87.75), (39.75, 88.05),
        (39.08, 88.10))),
    Corridor("G314", "乌红公路", "Wuhong Highway", "trunk", (
        (42.33, 87.40), "HS", "YQ", "四十里城子镇", (41.83, 86.26), "KEL", (41.74, 85.90),
        (41.79, 85.05), "LT", (41.77, 83.72))),
    Corridor("G218", "霍若公路", "Huoruo Highway", "trunk", (
        (42.98, 86.20), "巴仑台镇", "HJ", "YQ")),
    Corridor("G218", "霍若公路", "Huoruo Highway", "trunk", (
        "KEL", (41.55, 86.17), "YL", (40.95, 86.95), (40.60, 87.62), (39.95, 88.15),
        (39.40, 88.22), "RQ")),
    Corridor("G315", "西莎公路", "Xisha Highway", "trunk", (
        (38.30, 91.20), "依吞布拉克镇", (38.75, 89.10), "RQ", "瓦石峡镇", (38.62, 86.40),
        "塔提让镇", "QM", (37.95, 84.60))),
    Corridor("", "焉博公路", "Yanbo Highway", "primary", ("YQ", "BH")),
    Corridor("", "和静和硕公路", "Hejing-Hoxud Highway", "primary", ("HJ", (42.33, 86.62), "HS")),
    Corridor("", "库博公路", "Kubo Highway", "primary", ("KEL", (41.86, 86.36), "BH")),
    Corridor("", "塔里木沙漠公路", "Tarim Desert Highway", "primary", (
        "LT", (41.15, 84.25), (40.10, 83.90), (38.97, 83.66), (38.45, 84.55), "QM")),
    Corridor("", "罗布泊公路", "Lop Nur Highway", "primary", ("RQ", (39.75, 89.40), "罗布泊镇")),
    Corridor("", "尉犁轮台公路", "Yuli-Luntai Highway", "primary", ("YL", (41.25, 85.30), "LT")),
)  # fmt: skip

RAMPS: tuple[tuple[str, tuple[float, float]], ...] = (
    ("HS", (42.315, 86.95)),
    ("YQ", (42.105, 86.52)),
    ("KEL", (41.83, 86.30)),
    ("KEL", (41.665, 86.20)),
    ("KEL", (41.69, 85.95)),
    ("LT", (41.825, 84.30)),
    ("YL", (41.375, 86.20)),
    ("RQ", (39.08, 88.10)),
)
"""Where an expressway is left for a town."""

EAST_WEST = _words("""
    人民 交通 天山 巴音 石化 文化 塔里木 延安 胜利 迎宾 梨乡 英下 东方 新城 康庄 利民 振兴
    绿园 兴业 沙湾 果园 白鹭 金沙 银川 雪莲 胡杨 红柳 丝路 开源 安康 永安 晨光 兰干 和顺
    北山 南湖
    """)
NORTH_SOUTH = _words("""
    建国 建设 团结 朝阳 萨依巴格 香梨 友好 青年 解放 五一 民主 和平 光明 新华 科技 创业 体育
    学府 机场 铁克其 园林 工业 物流 梨花 芳草 湖滨 星光 幸福 吉祥 富民 长青 瑞祥 景泰
    恰尔巴格 龙山 明珠 玉泉 金桥 银桥 春晖 秋实 祥和 锦绣 腾飞 裕华 昌盛 宏图 前进
    """)
COMPOUND_FIRST = _words("""
    香梨 孔雀 天鹅 丝路 金色 阳光 和谐 锦绣 康乐 翠湖 书香 东方 胡杨 雪莲 博斯腾 楼兰 瑞景
    龙兴 恒泰 华誉 紫金 银河 碧水 世纪
    """)
COMPOUND_LAST = _words("""
    花园 小区 家园 新村 佳苑 公寓 名都 雅居 丽景 华庭
    """)
VILLAGE_NAMES = _words("""
    团结村 胜利村 和平村 幸福村 红旗村 光明村 新光村 友谊村 丰收村 向阳村 东风村 果园村
    新建村 民族村 前进村 绿洲村 水源村 胡杨村 富强村 梨园村
    """)
POIS = _words("""
    第一小学 第二小学 第三小学 第一中学 第二中学 第三中学 实验学校 农贸市场 客运站 图书馆
    体育馆 文化广场 人民广场 购物中心 步行街 国际酒店 宾馆 敬老院 社区服务中心 政务服务中心
    建材市场 汽车城 博物馆 少年宫 加油站
    """)
DIGITS = "一二三四五六七八九十"
