export const getServerSideProps = () => ({ props: { service: process.env.CALLER_POPUP_URL } });

export default function Overview() {
  return <h1>Overview</h1>;
}
