from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.errors import SettingsWrong
from bot.settings import PREFIX, Settings, read_settings, unknown_names
from bot.settings_table import settings_table

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # away from any .env


def test_the_defaults_fit_their_own_limits() -> None:
    assert Settings(**read_settings().model_dump()) == read_settings()


def test_a_flag_stands_over_the_environment_and_that_over_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CLASSMOOD_PORT=1001\nCLASSMOOD_BATCH=3\nCLASSMOOD_HOST=file\n")
    monkeypatch.setenv("CLASSMOOD_PORT", "1002")
    monkeypatch.setenv("CLASSMOOD_BATCH", "5")
    settings = read_settings(port="1003")
    assert (settings.port, settings.batch, settings.host) == (1003, 5, "file")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("looks_per_second", "0"),
        ("looks_per_second", "often"),
        ("page_frames_per_second", "0.9"),
        ("unknown_below", "1.5"),
        ("smallest_group", "2"),
        ("redis_url", "http://localhost"),
        ("key_prefix", "{a}"),
        ("log_level", "loud"),
        ("outbox_limit", "-1"),
        ("redis_url", "redis://[::1"),
        ("trusted_proxies", "nginx"),
        ("trusted_proxies", "127.0.0.1,10.0.0.1/24"),
        ("allowed_origins", "https://lms.example/course"),
        ("allowed_origins", "lms.example"),
        ("allowed_origins", "https://lms.example,https://*.example"),
        ("allowed_origins", "https://lms.example:*"),
        ("public_names", "https://class.example"),
        ("public_names", "class.example:8443"),
    ],
)
def test_a_setting_out_of_range_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(PREFIX + name.upper(), value)
    with pytest.raises(SettingsWrong) as wrong:
        read_settings()
    assert str(wrong.value).startswith(f"{PREFIX}{name.upper()}: ") and "\n" not in str(wrong.value)


def test_settings_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(SettingsWrong, match="tls_certificate and tls_key go together"):
        read_settings(tls_key="key.pem")
    with pytest.raises(SettingsWrong, match="left_seconds must be longer than stalled_seconds"):
        read_settings(left_seconds=3, stalled_seconds=5)
    for query in ("family=0", "password=s3cret"):
        with pytest.raises(SettingsWrong, match="redis_url takes no query") as wrong:
            read_settings(redis_url=f"redis://127.0.0.1/0?{query}")
        assert query not in str(wrong.value)
    with pytest.raises(SettingsWrong, match="turn_urls needs turn_username and turn_password"):
        read_settings(turn_urls="turn:turn.example:3478", turn_username="class")


def test_a_url_that_is_none_is_one_line_as_a_flag_too() -> None:
    with pytest.raises(SettingsWrong, match=r"^CLASSMOOD_REDIS_URL: Invalid IPv6 URL$"):
        read_settings(redis_url="redis://[::1")


def test_origins_are_compared_as_browsers_write_them() -> None:
    assert read_settings(allowed_origins="https://LMS.example/,*").allowed_origins == ("https://lms.example", "*")


def test_a_name_that_is_no_setting_is_told_with_the_one_that_may_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(unknown_names()) == []
    monkeypatch.setenv("CLASSMOOD_PUBLICATON", "aggregate")
    Path(".env").write_text("CLASSMOOD_XYZZY=1\nCLASSMOOD_STUDENTS=8\nCLASSMOOD_PORT=1\nOTHER=2\n")
    assert list(unknown_names()) == [
        "CLASSMOOD_PUBLICATON is not a setting and has no effect; did you mean CLASSMOOD_PUBLICATION?",
        "CLASSMOOD_XYZZY is not a setting and has no effect",
    ]


def test_a_password_in_the_redis_url_is_taken_out_of_it_and_nothing_prints_a_secret() -> None:
    settings = read_settings(redis_url="redis://ada:s3cret%21@localhost:6380/2", room_token="hush", turn_password="tvrn")
    assert settings.redis_password.get_secret_value() == "s3cret!" and settings.redis_username == "ada"
    assert str(settings.redis_url) == "redis://localhost:6380/2"
    for secret in ("s3cret", "hush", "tvrn"):
        assert secret not in repr(settings) and secret not in str(settings)


def test_the_credentials_of_a_url_that_is_a_flag_stand_over_those_of_the_env_file() -> None:
    Path(".env").write_text("CLASSMOOD_REDIS_USERNAME=bot\nCLASSMOOD_REDIS_PASSWORD=of-the-file\n")
    settings = read_settings(redis_url="redis://ada:s3cret@elsewhere:6380/2")
    assert (settings.redis_username, settings.redis_password.get_secret_value()) == ("ada", "s3cret")


def test_an_env_file_may_begin_with_the_mark_that_editors_of_windows_write() -> None:
    Path(".env").write_text("CLASSMOOD_PORT=1001\n", "utf-8-sig")
    assert read_settings().port == 1001


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_an_env_file_in_another_encoding_is_one_line(encoding: str) -> None:
    Path(".env").write_text("CLASSMOOD_PURPOSE=Prüfung\n", encoding)
    with pytest.raises(SettingsWrong, match=r"^\.env in this folder is not UTF-8 text: save it as such$"):
        read_settings()


@pytest.mark.parametrize("token", ["geheim ", " geheim", "   ", "ge heim", "gehe\tim", "geheim\n", "tök", "t€", "gehe\x7fim"])
def test_a_room_token_that_no_browser_can_send_is_refused_in_one_line_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("CLASSMOOD_ROOM_TOKEN", token)
    with pytest.raises(SettingsWrong) as wrong:
        read_settings()
    why = "a token is written in visible ASCII characters without blanks, as browsers can send no others"
    assert str(wrong.value) == f"CLASSMOOD_ROOM_TOKEN: {why}"


@pytest.mark.parametrize("token", ["4f1d6b2a9c7e", "a+b/c==", "!#%&'\"~"])
def test_a_room_token_may_hold_every_visible_character_of_ascii(token: str) -> None:
    assert read_settings(room_token=token).room_token.get_secret_value() == token


def test_a_wrong_setting_does_not_print_a_secret_either() -> None:
    with pytest.raises(SettingsWrong) as wrong:
        read_settings(redis_url="http://ada:s3cret@localhost", room_token="hush")
    assert "s3cret" not in str(wrong.value) and "hush" not in str(wrong.value)


def test_every_secret_is_a_secret_string() -> None:
    secrets = [name for name in Settings.model_fields if name.endswith(("password", "token", "secret"))]
    assert secrets and all(Settings.model_fields[name].annotation is SecretStr for name in secrets)


def test_lists_are_separated_by_commas() -> None:
    assert read_settings(stun_urls="stun:a:1, stun:b:2,").stun_urls == ("stun:a:1", "stun:b:2")


def test_the_table_in_the_readme_is_the_one_made_from_the_code() -> None:
    assert settings_table() in README.read_text()


def test_every_setting_says_what_it_does() -> None:
    assert all(field.description for field in Settings.model_fields.values())
