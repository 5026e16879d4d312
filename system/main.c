/* Program entry: parses the command line, builds the machine, runs the main loop. */
int main(void)
{
    return 0;
}
