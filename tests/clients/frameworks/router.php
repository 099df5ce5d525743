<?php
// A site of PHP pages whose end is what the README says.
$path = parse_url($_SERVER["REQUEST_URI"], PHP_URL_PATH);
if ($path === "/my/call-token") {
    require getenv("REPOSITORY") . "/examples/token-endpoint/server.php";
    return;
}
session_save_path(getenv("SESSIONS"));
session_start();
if ($path === "/sign-in") {
    $_SESSION["person"] = "dana";
}
if ($path === "/sign-out") {
    session_destroy();
    $_SESSION = [];
}
?>
<!doctype html>
<link rel="icon" href="data:,">
<h1><?= htmlspecialchars($path) ?></h1>
<?php include getenv("SNIPPET");
